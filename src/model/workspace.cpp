#include "relgrad/model/workspace.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "relgrad/core/error.hpp"

namespace relgrad {

template <class T>
Workspace<T>::Workspace(const Flow<T>& flow, Index capacity)
    : dimension_(flow.dimension()),
      rows_(flow.own().size()),
      capacity_(flow.row_group() == nullptr ? capacity : capacity * flow.row_group()->size()),
      batch_(capacity_),
      row_group_(flow.row_group()),
      layers_(flow.layer_count()),
      input_(rows_, capacity_),
      input_delta_(rows_, capacity_),
      log_likelihood_(static_cast<std::size_t>(capacity_)),
      labels_(static_cast<std::size_t>(flow.classes() > 0 ? capacity_ : 0), no_label) {
  Index scratch = 0;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const LayerShape shape = flow.layer(i).shape();
    LayerMemory& layer = layers_[i];
    layer.rows = flow.own(shape.out.size()).size();
    layer.leaves = shape.leaves;
    layer.kept = shape.kept;
    layer.scratch = shape.scratch;
    layer.pair.resize(layer.rows, 2 * capacity_);
    layer.latent_and_kept.resize(layer.leaves + layer.kept, capacity_);
    scratch = std::max(scratch, shape.scratch);
  }
  scratch_.resize(scratch, capacity_);
}

template <class T>
void Workspace<T>::set_batch(Index batch) {
  if (batch > capacity_) {
    throw ShapeError(
        fmt::format("Workspace::set_batch: batch is {}, at most {}", batch, capacity_));
  }
  batch_ = batch;
  own_samples_ = {0, batch};
}

template <class T>
bool Workspace<T>::load(const T* samples, Index count, std::span<const Label> labels) {
  if (row_group_ == nullptr) {
    if (count < 0) return false;
    set_batch(count);
    std::copy_n(samples, input().size(), input_.data());
  } else {
    const auto shared = row_group_->begin_batch(count);
    if (!shared) return false;
    set_batch(shared->total);
    own_samples_ = shared->own;
    row_group_->spread(ConstMatrixMap<T>(samples, dimension_, count), input());
  }
  std::ranges::fill(log_likelihood(), 0.0);
  if (!labels_.empty()) load_labels(labels);
  return true;
}

template <class T>
void Workspace<T>::load_labels(std::span<const Label> labels) {
  const std::span<Label> all = std::span(labels_).first(static_cast<std::size_t>(batch_));
  const std::span<Label> own = all.subspan(static_cast<std::size_t>(own_samples_.begin),
                                           static_cast<std::size_t>(own_samples_.size()));
  if (!labels.empty()) {
    check_size("Workspace::load", "labels", static_cast<Index>(labels.size()), own_samples_.size());
    std::ranges::copy(labels, own.begin());
  } else {
    std::ranges::fill(own, no_label);
  }
  if (row_group_ == nullptr) return;
  // One rank has a sample's label, the others 0; no_label is -1.
  std::vector<double> sums(all.size());
  std::ranges::copy(own, sums.begin() + own_samples_.begin);
  row_group_->sum(sums);
  std::ranges::transform(sums, all.begin(), [](double label) { return static_cast<Label>(label); });
}

template <class T>
MatrixMap<T> Workspace<T>::input() {
  return {input_.data(), rows_, batch_};
}
template <class T>
MatrixMap<T> Workspace<T>::input_delta() {
  return {input_delta_.data(), rows_, batch_};
}
// A batch smaller than the capacity uses the front of the memory, so that delta and value stay
// neighbours: [delta | value] is one matrix of 2B columns for every B.
template <class T>
MatrixMap<T> Workspace<T>::value(std::size_t i) {
  LayerMemory& layer = layers_[i];
  return {layer.pair.data() + layer.rows * batch_, layer.rows, batch_};
}
template <class T>
MatrixMap<T> Workspace<T>::delta(std::size_t i) {
  return {layers_[i].pair.data(), layers_[i].rows, batch_};
}
template <class T>
ConstMatrixMap<T> Workspace<T>::input_of(std::size_t i) {
  const MatrixMap<T> source = i == 0 ? input() : value(i - 1);
  return {source.data(), source.rows(), source.cols()};
}

template <class T>
LayerPass<T> Workspace<T>::pass(std::size_t i) {
  LayerMemory& layer = layers_[i];
  T* latent = layer.latent_and_kept.data();
  return {input_of(i),
          value(i),
          MatrixMap<T>(latent, layer.leaves, batch_),
          MatrixMap<T>(latent + layer.leaves * batch_, layer.kept, batch_),
          MatrixMap<T>(scratch_.data(), layer.scratch, batch_),
          log_likelihood(),
          std::span(labels_).first(labels_.empty() ? 0 : static_cast<std::size_t>(batch_))};
}

template <class T>
ConstMatrixMap<T> Workspace<T>::log_posterior() {
  const MatrixMap<T> kept = pass(layers_.size() - 1).kept;
  return {kept.data(), kept.rows(), kept.cols()};
}

template <class T>
LayerDelta<T> Workspace<T>::layer_delta(std::size_t i) {
  return {delta(i), i == 0 ? input_delta() : delta(i - 1), i > 0 || input_delta_is_needed_};
}

template <class T>
ConstMatrixMap<T> Workspace<T>::latents() {
  Index rows = 0;
  Index places = 0;
  for (const LayerMemory& layer : layers_) {
    rows += layer.leaves;
    if (layer.leaves > 0) ++places;
  }
  if (places == 1) {
    const LayerMemory& last =
        *std::ranges::find_if(layers_, [](const LayerMemory& layer) { return layer.leaves > 0; });
    return {last.latent_and_kept.data(), rows, batch_};
  }
  latents_.resize(rows, batch_);
  Index row = 0;
  for (const LayerMemory& layer : layers_) {
    latents_.middleRows(row, layer.leaves) =
        ConstMatrixMap<T>(layer.latent_and_kept.data(), layer.leaves, batch_);
    row += layer.leaves;
  }
  return {latents_.data(), rows, batch_};
}

template <class T>
std::span<double> Workspace<T>::log_likelihood() {
  return {log_likelihood_.data(), static_cast<std::size_t>(batch_)};
}

template <class T>
std::span<double> Workspace<T>::own_log_likelihood() {
  return log_likelihood().subspan(static_cast<std::size_t>(own_samples_.begin),
                                  static_cast<std::size_t>(own_samples_.size()));
}

template class Workspace<float>;
template class Workspace<double>;

}  // namespace relgrad
