#include "model/conditional_latent_layer.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

#include "core/columns.hpp"

namespace relgrad {

namespace {

constexpr Index tile = 256;  // coordinates of the backward pass that one thread takes at once

}  // namespace

template <class T>
ConditionalLatentLayer<T>::ConditionalLatentLayer(ParameterStore<T>& store,
                                                  const SampleShape& shape, Latent latent,
                                                  Index classes, RowGroup<T>* row_group)
    : store_(&store),
      shape_(shape),
      latent_(latent),
      classes_(classes),
      row_group_(row_group),
      own_(row_group == nullptr ? Range{0, shape.size()} : row_group->own(shape.size())),
      mean_id_(
          store.add(mean_name, {.rate = ParameterUse::Rate::elementwise}, shape.size(), classes)),
      log_scale_id_(store.add(log_scale_name, {.rate = ParameterUse::Rate::elementwise},
                              shape.size(), classes)),
      prior_id_(store.add(prior_name, {.moves = false}, classes, 1)),
      inverse_scale_(own_.size(), classes),
      log_scale_sum_(static_cast<std::size_t>(classes)),
      log_prior_(static_cast<std::size_t>(classes)) {}

template <class T>
void ConditionalLatentLayer<T>::initialize(const LayerStart& /*start*/) {
  std::ranges::fill(store_->values(prior_id_), T(1) / static_cast<T>(classes_));
}

template <class T>
void ConditionalLatentLayer<T>::prepare() {
  const ParameterStore<T>& store = *store_;
  const ConstMatrixMap<T> log_scale = store.matrix(log_scale_id_);
  for (Index k = 0; k < classes_; ++k) {
    const auto own = log_scale.col(k).segment(own_.begin, own_.size());
    inverse_scale_.col(k) = (-own).array().exp();
    log_scale_sum_[static_cast<std::size_t>(k)] = own.template cast<double>().sum();
  }
  std::ranges::transform(store.values(prior_id_), log_prior_.begin(),
                         [](T probability) { return std::log(static_cast<double>(probability)); });
}

template <class T>
double ConditionalLatentLayer<T>::log_density(Index k, const T* z, T* room) const {
  const T* mean = std::as_const(*store_).matrix(mean_id_).col(k).data() + own_.begin;
  const T* inverse_scale = inverse_scale_.col(k).data();
  for (Index i = 0; i < own_.size(); ++i) room[i] = (z[i] - mean[i]) * inverse_scale[i];
  double nats = -log_scale_sum_[static_cast<std::size_t>(k)];
  add_latent_log_density(latent_, ConstMatrixMap<T>(room, own_.size(), 1), std::span(&nats, 1));
  return nats;
}

template <class T>
void ConditionalLatentLayer<T>::forward(LayerPass<T> pass) const {
  pass.latent = pass.input;
  const auto label_of = [&](Index n) {
    return pass.labels.empty() ? no_label : pass.labels[static_cast<std::size_t>(n)];
  };
  for_each_sample(own_.size(), pass.input.cols(), [&](Index n) {
    if (label_of(n) == no_label) return;
    pass.log_likelihood[static_cast<std::size_t>(n)] +=
        log_density(label_of(n), pass.input.col(n).data(), pass.scratch.col(n).data());
  });
  // the same on every rank of a row group, which knows the labels of all its samples
  if (class_weight_ > 0 || pass.labels.empty() ||
      std::ranges::find(pass.labels, no_label) != pass.labels.end()) {
    forward_of_all_classes(pass);
  }
}

//   log p(z) = m + log sum_k e^{a_k - m},  a_k = log prior_k + log p(z | k),  m = max_k a_k
template <class T>
void ConditionalLatentLayer<T>::forward_of_all_classes(LayerPass<T>& pass) const {
  const Index batch = pass.input.cols();
  if (densities_.cols() < batch) densities_.resize(classes_, batch);
  const auto has_label = [&](Index n) {
    return !pass.labels.empty() && pass.labels[static_cast<std::size_t>(n)] != no_label;
  };
  const auto needs_one_class = [&](Index n) { return has_label(n) && class_weight_ == 0; };
  for_each_sample(own_.size() * classes_, batch, [&](Index n) {
    for (Index k = 0; k < classes_; ++k) {
      densities_(k, n) = needs_one_class(n)
                             ? 0.0
                             : log_density(k, pass.input.col(n).data(), pass.scratch.col(n).data());
    }
  });
  if (row_group_ != nullptr) {  // each rank has the part of its own coordinates
    row_group_->sum(std::span(densities_.data(), static_cast<std::size_t>(classes_ * batch)));
  }
  const bool counts = row_group_ == nullptr || row_group_->rank() == 0;  // ranks are summed
  const Eigen::Map<const Vector<double>> log_prior(log_prior_.data(), classes_);
  for (Index n = 0; n < batch; ++n) {
    if (needs_one_class(n)) continue;
    auto joint = densities_.col(n);
    joint += log_prior;
    const double most = joint.maxCoeff();
    const double total = most + std::log((joint.array() - most).exp().sum());
    if (counts && !has_label(n)) pass.log_likelihood[static_cast<std::size_t>(n)] += total;
    pass.kept.col(n) = (joint.array() - total).template cast<T>();
  }
}

template <class T>
void ConditionalLatentLayer<T>::inverse(const ConstMatrixMap<T>& /*output*/,
                                        const ConstMatrixMap<T>& latent, MatrixMap<T> input,
                                        InverseKind /*kind*/) const {
  input = latent;
}

// With u = (z - m_k) e^{-s_k} and the weight b of the class term,
//   w_k = (1 + b) [k is the label] - b p(k | z), or p(k | z) of a sample without a label:
//   dL/dz = sum_k d_k,  d_k = w_k e^{-s_k} (log p_0)'(u)
//   dL/dm_k = -d_k,  dL/ds_k = -(z - m_k) d_k - w_k
template <class T>
T ConditionalLatentLayer<T>::weight_of(Label label, Index k, T posterior) const {
  if (label == no_label) return posterior;
  const T b = static_cast<T>(class_weight_);
  return (k == label ? 1 + b : T(0)) - b * posterior;
}

template <class T>
template <class Add>
void ConditionalLatentLayer<T>::backward_of(const Range& coordinates, const LayerPass<T>& pass,
                                            MatrixMap<T>& delta, const Add& add) const {
  const Index size = coordinates.size();
  const ConstMatrixMap<T> mean = std::as_const(*store_).matrix(mean_id_);
  std::array<T, tile> u;
  std::array<T, tile> score;
  for (Index n = 0; n < pass.input.cols(); ++n) {
    const T* z = pass.input.col(n).data() + coordinates.begin;
    T* to = delta.col(n).data() + coordinates.begin;
    std::fill_n(to, size, T(0));
    const Label label = pass.labels.empty() ? no_label : pass.labels[static_cast<std::size_t>(n)];
    const bool needs_one_class = label != no_label && class_weight_ == 0;
    const Index first = needs_one_class ? label : 0;
    const Index end = needs_one_class ? label + 1 : classes_;
    for (Index k = first; k < end; ++k) {
      const T weight = needs_one_class ? T(1) : weight_of(label, k, std::exp(pass.kept(k, n)));
      const T* m = mean.col(k).data() + own_.begin + coordinates.begin;
      const T* inverse_scale = inverse_scale_.col(k).data() + coordinates.begin;
      for (Index i = 0; i < size; ++i) {
        u[static_cast<std::size_t>(i)] = (z[i] - m[i]) * inverse_scale[i];
      }
      latent_score(latent_, ConstMatrixMap<T>(u.data(), size, 1),
                   MatrixMap<T>(score.data(), size, 1));
      for (Index i = 0; i < size; ++i) {
        const T d = weight * inverse_scale[i] * score[static_cast<std::size_t>(i)];
        to[i] += d;
        add(coordinates.begin + i, k, -d, -(z[i] - m[i]) * d - weight);
      }
    }
  }
}

template <class T>
void ConditionalLatentLayer<T>::backward(LayerPass<T> pass, LayerDelta<T> delta,
                                         GradientSink<T>& sink) const {
  const auto numbers = static_cast<std::size_t>(shape_.size() * classes_);
  const std::optional<ExactSums> exact_mean = sink.exact(mean_id_, numbers);
  const std::optional<ExactSums> exact_log_scale = sink.exact(log_scale_id_, numbers);
  const std::span<T> mean = sink.sum(mean_id_);
  const std::span<T> log_scale = sink.sum(log_scale_id_);
  const auto place = [&](Index i, Index k) {
    return static_cast<std::size_t>(k * shape_.size() + own_.begin + i);
  };
  // Split over coordinates, never over samples: sums do not depend on the number of threads.
  const bool threaded = own_.size() * pass.input.cols() >= threaded_batch_size;
  for_each_index((own_.size() + tile - 1) / tile, threaded, [&](Index t) {
    const Range coordinates{t * tile, std::min((t + 1) * tile, own_.size())};
    if (exact_mean) {
      backward_of(coordinates, pass, delta.input, [&](Index i, Index k, T dm, T ds) {
        exact_mean->sums[place(i, k)] += exact_mean->grid.round(static_cast<double>(dm));
        exact_log_scale->sums[place(i, k)] += exact_log_scale->grid.round(static_cast<double>(ds));
      });
      return;
    }
    backward_of(coordinates, pass, delta.input, [&](Index i, Index k, T dm, T ds) {
      mean[place(i, k)] += dm;
      log_scale[place(i, k)] += ds;
    });
  });
  const ParameterGradient<T> both[] = {{mean_id_, {}, {}}, {log_scale_id_, {}, {}}};
  sink.give(both);
}

template <class T>
void ConditionalLatentLayer<T>::take_exact_sums(StepSums<T>& sums) const {
  for (const ParameterId id : {mean_id_, log_scale_id_}) {
    take_exact(sums, id, store_->info(id).size());
  }
}

template <class T>
void set_class_weight(Flow<T>& flow, double weight) {
  if (flow.classes() == 0) return;
  auto& last = flow.layer(flow.layer_count() - 1);  // a conditional flow ends in one
  static_cast<ConditionalLatentLayer<T>&>(last).set_class_weight(weight);
}

template void set_class_weight(Flow<float>&, double);
template void set_class_weight(Flow<double>&, double);
template class ConditionalLatentLayer<float>;
template class ConditionalLatentLayer<double>;

}  // namespace relgrad
