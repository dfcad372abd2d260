#include "model/coupling_layer.hpp"

#include <fmt/format.h>

#include <utility>

#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

const SampleShape& even_channels(const std::string& prefix, const SampleShape& shape) {
  if (shape.channels % 2 != 0) {
    throw UsageError(
        fmt::format("{}: coupling and split halve the channels, and {} has an odd number of them; "
                    "put a squeeze in front",
                    prefix, text_of(shape)));
  }
  return shape;
}

}  // namespace

template <class T>
CouplingLayer<T>::CouplingLayer(ParameterStore<T>& store, const Products& products,
                                const std::string& prefix, const SampleShape& shape, Index hidden,
                                SecondHalf second, Latent latent)
    : store_(&store),
      shape_(even_channels(prefix, shape)),
      second_(second),
      latent_(latent),
      map_(shape.channels, shape.height, shape.width, hidden, products) {
  const auto tensors = net_tensors(map_.net().shape());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const bool is_matrix = i == first_weight || i == middle_weight || i == last_weight;
    ids_[i] = store.add(fmt::format("{}/{}", prefix, tensors[i].name), {.decays = is_matrix},
                        tensors[i].rows, tensors[i].cols);
  }
}

template <class T>
LayerShape CouplingLayer<T>::shape() const {
  LayerShape shape{shape_, shape_, 0, map_.kept_size(), map_.scratch_size()};
  if (leaves()) {
    shape.out.channels = shape_.channels / 2;
    shape.leaves = map_.half_size();
    shape.scratch += map_.half_size();
  }
  return shape;
}

template <class T>
NetSpans<const T> CouplingLayer<T>::parameters() const {
  NetSpans<const T> spans;
  for (std::size_t i = 0; i < ids_.size(); ++i) spans[i] = std::as_const(*store_).values(ids_[i]);
  return spans;
}

template <class T>
SampleRows<T> CouplingLayer<T>::second_of(MatrixMap<T>& output, MatrixMap<T>& latent) const {
  if (leaves()) return {latent.data(), latent.rows()};
  return {output.data() + map_.half_size(), output.rows()};
}

template <class T>
void CouplingLayer<T>::initialize(const LayerStart& start) {
  NetSpans<T> spans;
  for (std::size_t i = 0; i < ids_.size(); ++i) spans[i] = store_->values(ids_[i]);
  initialize_net(map_.net().shape(), start.seed, start.layer, spans);
}

template <class T>
void CouplingLayer<T>::forward(LayerPass<T> pass) const {
  const Index half = map_.half_size();
  pass.output.topRows(half) = pass.input.topRows(half);
  const SampleRows<const T> x1{pass.input.data(), pass.input.rows()};
  const SampleRows<const T> x2{pass.input.data() + half, pass.input.rows()};
  map_.forward(parameters(), x1, x2, pass.input.cols(), second_of(pass.output, pass.latent),
               std::span<T>(pass.kept.data(), static_cast<std::size_t>(pass.kept.size())),
               pass.log_likelihood);
  if (!leaves()) return;
  add_latent_log_density(
      latent_, ConstMatrixMap<T>(pass.latent.data(), pass.latent.rows(), pass.latent.cols()),
      pass.log_likelihood);
}

template <class T>
void CouplingLayer<T>::inverse(const ConstMatrixMap<T>& output, const ConstMatrixMap<T>& latent,
                               MatrixMap<T> input, InverseKind /*kind*/) const {
  const Index half = map_.half_size();
  input.topRows(half) = output.topRows(half);
  const SampleRows<const T> x1{input.data(), input.rows()};
  const SampleRows<const T> y2 = leaves()
                                     ? SampleRows<const T>{latent.data(), latent.rows()}
                                     : SampleRows<const T>{output.data() + half, output.rows()};
  map_.inverse(parameters(), x1, y2, input.cols(), {input.data() + half, input.rows()});
}

template <class T>
void CouplingLayer<T>::backward(LayerPass<T> pass, LayerDelta<T> delta,
                                GradientSink<T>& sink) const {
  const Index half = map_.half_size();
  const Index batch = pass.input.cols();
  const auto scratch_size = static_cast<std::size_t>(batch * map_.scratch_size());
  const std::span<T> scratch(pass.scratch.data(), scratch_size);
  // dL/dy2: from above, or of the latent density of what leaves
  MatrixMap<T> score(pass.scratch.data() + scratch_size, leaves() ? half : 0, batch);
  if (leaves()) {
    latent_score(latent_, ConstMatrixMap<T>(pass.latent.data(), half, batch), score);
  }
  const SampleRows<const T> delta_y2 = second_of(delta.output, score);
  delta.input.topRows(half) = delta.output.topRows(half);

  const SampleRows<const T> x1{pass.input.data(), pass.input.rows()};
  const SampleRows<const T> x2{pass.input.data() + half, pass.input.rows()};
  const SampleRows<T> delta_x1{delta.input.data(), delta.input.rows()};
  const SampleRows<T> delta_x2{delta.input.data() + half, delta.input.rows()};
  const std::span<const T> kept(pass.kept.data(), static_cast<std::size_t>(pass.kept.size()));
  NetSpans<T> sums;
  NetSpans<double> exact_sums;
  std::optional<ExactSums> exact;
  std::array<ParameterGradient<T>, net_tensor_count> all{};
  for (std::size_t i = 0; i < ids_.size(); ++i) {
    exact = sink.exact(ids_[i], store_->info(ids_[i]).size());
    if (exact) exact_sums[i] = exact->sums;
    sums[i] = sink.sum(ids_[i]);
    all[i].id = ids_[i];
  }
  if (exact) {
    map_.backward_exact(parameters(), x1, x2, batch, kept, delta_y2, delta_x2, delta_x1, scratch,
                        exact->grid, exact_sums);
  } else {
    map_.backward(parameters(), x1, x2, batch, kept, delta_y2, delta_x2, delta_x1, scratch, sums);
  }
  sink.give(all);
}

template <class T>
void CouplingLayer<T>::take_exact_sums(StepSums<T>& sums) const {
  for (const ParameterId id : ids_) take_exact(sums, id, store_->info(id).size());
}

template class CouplingLayer<float>;
template class CouplingLayer<double>;

}  // namespace relgrad
