#include "relgrad/model/flow.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "model/conditional_latent_layer.hpp"
#include "model/flow_layers.hpp"
#include "model/latent_layer.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

Initialization parse_initialization(std::string_view name) {
  if (name == "identity") return Initialization::identity;
  if (name == "orthogonal") return Initialization::orthogonal;
  throw UsageError(
      fmt::format("--init: '{}' is none of identity, orthogonal; identity trains best", name));
}

std::string_view name_of(Initialization initialization) {
  return initialization == Initialization::identity ? "identity" : "orthogonal";
}

FlowSpec make_flow_spec(const SampleShape& sample, Index linear_layers, const LayerSpec& activation,
                        const LayerSpec& last_activation, Latent latent, bool keeps_inverse) {
  const LayerSpec linear{"linear", keeps_inverse ? std::map<std::string, double>{{"inverse", 1}}
                                                 : std::map<std::string, double>{}};
  FlowSpec spec{sample, latent, {}, 0};
  for (Index k = 1; k <= linear_layers; ++k) {
    spec.layers.push_back(linear);
    const LayerSpec& after = k < linear_layers ? activation : last_activation;
    if (after.kind != "none") spec.layers.push_back(after);
  }
  return spec;
}

namespace {

template <class T>
class LinearLayers final : public LayerVisitor<T> {
 public:
  void visit(LinearLayer<T>& layer) override { found.push_back(&layer); }
  void visit(ConvolutionLayer<T>& /*layer*/) override {}
  void visit(DifferentiableLayer<T>& /*layer*/) override {}
  std::vector<LinearLayer<T>*> found;
};

}  // namespace

template <class T>
std::vector<std::unique_ptr<Layer<T>>> make_layers(const FlowSpec& spec, ParameterStore<T>& store,
                                                   const Products& products,
                                                   RowGroup<T>* row_group) {
  std::vector<std::unique_ptr<Layer<T>>> layers;
  SampleShape shape = spec.sample;
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    try {
      layers.push_back(make_layer<T>(spec.layers[i],
                                     {store, products, shape, spec.latent, row_group},
                                     fmt::format("layer/{}", i)));
    } catch (const UsageError& error) {
      throw UsageError(fmt::format("--model: {}", error.what()));
    }
    const Layer<T>& layer = *layers.back();
    shape = layer.shape().out;
    if (row_group != nullptr && !layer.splits_by_coordinates()) {
      throw UsageError(
          fmt::format("--exchange: row shares layers by coordinates, which layer {} ({}) cannot "
                      "be; use dense, sharded or factor",
                      i, layer.kind()));
    }
  }
  if (spec.classes > 0) {
    layers.push_back(std::make_unique<ConditionalLatentLayer<T>>(store, shape, spec.latent,
                                                                 spec.classes, row_group));
    return layers;
  }
  const Index size = row_group == nullptr ? shape.size() : row_group->own(shape.size()).size();
  layers.push_back(std::make_unique<LatentLayer<T>>(shape, size, spec.latent));
  return layers;
}

template <class T>
Flow<T>::Flow(const FlowSpec& spec, const Products& products, RowGroup<T>* row_group)
    : spec_(spec),
      row_group_(row_group),
      parameters_(std::make_unique<ParameterStore<T>>()),
      products_(std::make_unique<Products>(products)),
      layers_(make_layers(spec, *parameters_, *products_, row_group)) {
  parameters_->allocate();
}

template <class T>
std::vector<LinearLayer<T>*> Flow<T>::linear_layers() {
  LinearLayers<T> linear;
  for (auto& layer : layers_) layer->accept(linear);
  return linear.found;
}

template <class T>
std::vector<const LinearLayer<T>*> Flow<T>::linear_layers() const {
  LinearLayers<T> linear;
  for (const auto& layer : layers_) layer->accept(linear);
  return {linear.found.begin(), linear.found.end()};
}

template <class T>
std::span<T> Flow<T>::prior() {
  return parameters_->values(parameters_->id_of(prior_name));
}
template <class T>
std::span<const T> Flow<T>::prior() const {
  return std::as_const(*parameters_).values(parameters_->id_of(prior_name));
}

template <class T>
template <class Move>
void Flow<T>::for_each_in_class(Label label, const Range& coordinates, std::span<T> z,
                                const Move& move) const {
  const ParameterStore<T>& store = *parameters_;
  const ConstMatrixMap<T> mean = store.matrix(store.id_of(mean_name));
  const ConstMatrixMap<T> log_scale = store.matrix(store.id_of(log_scale_name));
  T* last = z.data() + static_cast<Index>(z.size()) - coordinates.size();
  for (Index i = coordinates.begin; i < coordinates.end; ++i, ++last) {
    *last = move(*last, mean(i, label), std::exp(log_scale(i, label)));
  }
}

template <class T>
void Flow<T>::move_to_class(Label label, std::span<T> z) const {
  for_each_in_class(label, own(parameters_->matrix(parameters_->id_of(mean_name)).rows()), z,
                    [](T x, T mean, T scale) { return mean + scale * x; });
}

template <class T>
void Flow<T>::move_from_class(Label label, std::span<T> z) const {
  for_each_in_class(label, {0, parameters_->matrix(parameters_->id_of(mean_name)).rows()}, z,
                    [](T x, T mean, T scale) { return (x - mean) / scale; });
}

template <class T>
void Flow<T>::initialize(Initialization initialization, double noise, std::uint64_t seed) {
  std::ranges::fill(parameters_->flat(), T{0});
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    layers_[i]->initialize({initialization, noise, seed, i});
  }
  prepare();
}

template <class T>
void Flow<T>::prepare() {
  for (auto& layer : layers_) layer->prepare();
}

template <class T>
bool Flow<T>::keeps_inverse() const {
  return std::ranges::any_of(layers_, [](const auto& layer) { return layer->learns_inverse(); });
}

template <class T>
void Flow<T>::inverse(const ConstMatrixMap<T>& z, MatrixMap<T> x, InverseKind kind) const {
  Index end = z.rows();  // latent coordinates below have not been used yet
  Matrix<T> output(0, z.cols());
  for (std::size_t i = layers_.size(); i-- > 0;) {
    const LayerShape shape = layers_[i]->shape();
    end -= shape.leaves;
    const Matrix<T> latent = z.middleRows(end, shape.leaves);
    Matrix<T> input(own(shape.in.size()).size(), z.cols());
    layers_[i]->inverse(ConstMatrixMap<T>(output.data(), output.rows(), output.cols()),
                        ConstMatrixMap<T>(latent.data(), latent.rows(), latent.cols()),
                        MatrixMap<T>(input.data(), input.rows(), input.cols()), kind);
    output = std::move(input);
  }
  x = output;
}

template std::vector<std::unique_ptr<Layer<float>>> make_layers(const FlowSpec&,
                                                                ParameterStore<float>&,
                                                                const Products&, RowGroup<float>*);
template std::vector<std::unique_ptr<Layer<double>>> make_layers(const FlowSpec&,
                                                                 ParameterStore<double>&,
                                                                 const Products&,
                                                                 RowGroup<double>*);
template class Flow<float>;
template class Flow<double>;

}  // namespace relgrad
