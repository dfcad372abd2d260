#include "evaluation/reconstruction.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "gradient/geco.hpp"
#include "relgrad/core/random.hpp"

namespace relgrad {

namespace {

constexpr Index draws = 32;

/// This rank's coordinates of standard normal columns, the same wherever they are drawn.
template <class T>
Matrix<T> normal_columns(Index dimension, const Range& own) {
  Matrix<T> columns(own.size(), draws);
  std::vector<double> column(static_cast<std::size_t>(dimension));
  for (Index n = 0; n < draws; ++n) {
    RandomStream(0, Purpose::probe, 0, static_cast<std::uint64_t>(n)).normal(std::span(column));
    columns.col(n) =
        Eigen::Map<const Vector<double>>(column.data() + own.begin, own.size()).template cast<T>();
  }
  return columns;
}

}  // namespace

template <class T>
std::optional<Reconstruction> reconstruction_of(const Flow<T>& flow, const TrainOptions& options,
                                                std::int64_t updates) {
  if (options.gradient != "self-normalizing" || options.reconstruction == "newton") return {};
  Reconstruction result;
  double log_factor = 0;
  int layers = 0;
  for (std::size_t i = 0; i < flow.layer_count(); ++i) {
    const std::span<const T> kept = flow.layer(i).reconstruction();
    if (kept.empty()) continue;
    result.error += reconstruction_error(kept, updates);
    log_factor += static_cast<double>(kept[0]);
    ++layers;
  }
  if (layers == 0) return {};
  result.weight = options.reconstruction_weight * std::exp(log_factor / layers);
  return result;
}

template <class T>
std::optional<double> inverse_error(const Flow<T>& flow) {
  if (!flow.keeps_inverse()) return {};
  double largest = 0;
  for (std::size_t i = 0; i < flow.layer_count(); ++i) {
    const Layer<T>& layer = flow.layer(i);
    if (!layer.learns_inverse()) continue;
    const LayerShape shape = layer.shape();
    const Index size = shape.in.size();
    const Matrix<T> x = normal_columns<T>(size, flow.own(size));
    Matrix<T> y(x.rows(), draws);
    Matrix<T> again(x.rows(), draws);
    const MatrixMap<T> none(nullptr, 0, draws);
    layer.forward({ConstMatrixMap<T>(x.data(), x.rows(), draws),
                   MatrixMap<T>(y.data(), x.rows(), draws),
                   none,
                   none,
                   none,
                   {}});
    layer.inverse(ConstMatrixMap<T>(y.data(), x.rows(), draws),
                  ConstMatrixMap<T>(nullptr, 0, draws), MatrixMap<T>(again.data(), x.rows(), draws),
                  InverseKind::learned);
    double squares = (again - x).template cast<double>().squaredNorm();
    if (flow.row_group() != nullptr) flow.row_group()->sum(std::span(&squares, 1));
    largest = std::max(largest, std::sqrt(squares / static_cast<double>(draws * size)));
  }
  return largest;
}

template std::optional<Reconstruction> reconstruction_of(const Flow<float>&, const TrainOptions&,
                                                         std::int64_t);
template std::optional<Reconstruction> reconstruction_of(const Flow<double>&, const TrainOptions&,
                                                         std::int64_t);
template std::optional<double> inverse_error(const Flow<float>&);
template std::optional<double> inverse_error(const Flow<double>&);

}  // namespace relgrad
