#include "relgrad/model/flow.hpp"

#include <fmt/format.h>

#include <Eigen/QR>
#include <algorithm>
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
                        const LayerSpec& last_activation, Latent latent, bool keeps_inverse) {
  const LayerSpec linear{"linear", keeps_inverse ? std::map<std::string, double>{{"inverse", 1}}
                                                 : std::map<std::string, double>{}};
  FlowSpec spec{dimension, latent, {}};
  for (Index k = 1; k <= linear_layers; ++k) {
    spec.layers.push_back(linear);
    const LayerSpec& after = k < linear_layers ? activation : last_activation;
    if (after.kind != "none") spec.layers.push_back(after);
  }
  return spec;
}

template <class T>
Flow<T>::Flow(const FlowSpec& spec, const Products& products, RowGroup<T>* row_group)
    : spec_(spec),
      row_group_(row_group),
      parameters_(std::make_unique<ParameterStore<T>>()),
      products_(std::make_unique<Products>(products)) {
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    layers_.push_back(make_layer<T>(spec.layers[i],
                                    {*parameters_, *products_, spec.dimension, row_group},
                                    fmt::format("layer/{}", i)));
  }
  parameters_->allocate();
}

namespace {

/// Column j of a D x D matrix of standard normal numbers, the same wherever it is drawn.
void normal_column(std::uint64_t seed, std::uint64_t layer, Index j, std::span<double> column) {
  const std::uint64_t item = (layer << 32U) | static_cast<std::uint64_t>(j);
  RandomStream(seed, Purpose::initialize, 0, item).normal(column);
}

// Haar-distributed orthogonal matrix: Q of a QR with the signs of R's diagonal (Mezzadri 2007).
Matrix<double> orthogonal_matrix(Index dimension, std::uint64_t seed, std::uint64_t layer) {
  Matrix<double> normal(dimension, dimension);
  for (Index j = 0; j < dimension; ++j) {
    normal_column(seed, layer, j, {normal.col(j).data(), static_cast<std::size_t>(dimension)});
  }
  const Eigen::HouseholderQR<Matrix<double>> qr(normal);
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
  if (initialization == Initialization::orthogonal && row_group_ != nullptr) {
    throw UsageError(
        "--init: orthogonal needs a whole W on a rank; use identity where W is shared by columns");
  }
  std::ranges::fill(parameters_->flat(), T{0});
  std::vector<double> normal(static_cast<std::size_t>(spec_.dimension));
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    auto* linear = dynamic_cast<LinearLayer<T>*>(layers_[i].get());
    if (linear == nullptr) continue;
    MatrixMap<T> weight = parameters_->matrix(linear->weight_id());
    if (initialization == Initialization::orthogonal) {
      weight = orthogonal_matrix(spec_.dimension, seed, i).template cast<T>();
    } else {
      const Range columns = own();
      const double scale = noise / std::sqrt(static_cast<double>(spec_.dimension));
      for (Index j = columns.begin; j < columns.end; ++j) {
        auto column = weight.col(j - columns.begin);
        if (noise > 0) {
          normal_column(seed, i, j, normal);
          column = (scale * Eigen::Map<const Vector<double>>(normal.data(), spec_.dimension))
                       .template cast<T>();
        }
        column[j] += T{1};
      }
    }
    if (linear->keeps_inverse()) linear->refresh_inverse();
  }
  prepare();
}

template <class T>
void Flow<T>::prepare() {
  for (auto& layer : layers_) layer->prepare();
}

template <class T>
bool Flow<T>::keeps_inverse() const {
  return std::ranges::all_of(layers_, [](const auto& layer) {
    const auto* linear = dynamic_cast<const LinearLayer<T>*>(layer.get());
    return linear == nullptr || linear->keeps_inverse();
  });
}

template <class T>
void Flow<T>::inverse(MatrixMap<T> z, MatrixMap<T> x, InverseKind kind) const {
  for (std::size_t i = layers_.size(); i-- > 0;) {
    const ConstMatrixMap<T> output(z.data(), z.rows(), z.cols());
    const auto* linear = dynamic_cast<const LinearLayer<T>*>(layers_[i].get());
    if (kind == InverseKind::learned && linear != nullptr) {
      linear->learned_inverse(output, x);
    } else {
      layers_[i]->inverse(output, x);
    }
    if (i > 0) z = x;
  }
}

template class Flow<float>;
template class Flow<double>;

}  // namespace relgrad
