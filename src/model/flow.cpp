#include "relgrad/model/flow.hpp"

#include <fmt/format.h>

#include <Eigen/QR>
#include <cmath>

#include "relgrad/core/error.hpp"
#include "relgrad/core/random.hpp"
#include "relgrad/model/linear.hpp"

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

FlowSpec make_flow_spec(Index dimension, Index linear_layers, const LayerSpec& activation,
                        const LayerSpec& last_activation, Latent latent) {
  FlowSpec spec{dimension, latent, {}};
  for (Index k = 1; k <= linear_layers; ++k) {
    spec.layers.push_back({"linear", {}});
    const LayerSpec& after = k < linear_layers ? activation : last_activation;
    if (after.kind != "none") spec.layers.push_back(after);
  }
  return spec;
}

template <class T>
Flow<T>::Flow(const FlowSpec& spec, const Products& products)
    : spec_(spec),
      parameters_(std::make_unique<ParameterStore<T>>()),
      products_(std::make_unique<Products>(products)) {
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    layers_.push_back(make_layer<T>(spec.layers[i], *parameters_, *products_,
                                    fmt::format("layer/{}", i), spec.dimension));
  }
  parameters_->allocate();
}

namespace {

Matrix<double> normal_matrix(Index dimension, std::uint64_t seed, std::uint64_t layer) {
  Matrix<double> matrix(dimension, dimension);
  for (Index j = 0; j < dimension; ++j) {
    const std::uint64_t item = (layer << 32U) | static_cast<std::uint64_t>(j);
    RandomStream(seed, Purpose::initialize, 0, item)
        .normal(std::span(matrix.col(j).data(), static_cast<std::size_t>(dimension)));
  }
  return matrix;
}

// Haar-distributed orthogonal matrix: Q of a QR with the signs of R's diagonal (Mezzadri 2007).
Matrix<double> orthogonal_matrix(Index dimension, std::uint64_t seed, std::uint64_t layer) {
  const Eigen::HouseholderQR<Matrix<double>> qr(normal_matrix(dimension, seed, layer));
  Matrix<double> q = qr.householderQ();
  const Vector<double> diagonal = qr.matrixQR().diagonal();
  for (Index j = 0; j < dimension; ++j) {
    if (diagonal(j) < 0) q.col(j) *= -1.0;
  }
  return q;
}

}  // namespace

template <class T>
void Flow<T>::initialize(Initialization initialization, double noise, std::uint64_t seed) {
  std::ranges::fill(parameters_->flat(), T{0});
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const auto* linear = dynamic_cast<const LinearLayer<T>*>(layers_[i].get());
    if (linear == nullptr) continue;
    MatrixMap<T> weight = parameters_->matrix(linear->weight_id());
    if (initialization == Initialization::orthogonal) {
      weight = orthogonal_matrix(spec_.dimension, seed, i).template cast<T>();
    } else {
      weight.setIdentity();
      if (noise > 0) {
        const double scale = noise / std::sqrt(static_cast<double>(spec_.dimension));
        weight += (scale * normal_matrix(spec_.dimension, seed, i)).template cast<T>();
      }
    }
  }
  prepare();
}

template <class T>
void Flow<T>::prepare() {
  for (auto& layer : layers_) layer->prepare();
}

template <class T>
void Flow<T>::inverse(MatrixMap<T> z, MatrixMap<T> x) const {
  for (std::size_t i = layers_.size(); i-- > 0;) {
    layers_[i]->inverse(ConstMatrixMap<T>(z.data(), z.rows(), z.cols()), x);
    if (i > 0) z = x;
  }
}

template class Flow<float>;
template class Flow<double>;

}  // namespace relgrad
