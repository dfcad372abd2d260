#include "model/random_start.hpp"

#include <Eigen/QR>

#include "relgrad/core/random.hpp"

namespace relgrad {

void normal_column(std::uint64_t seed, std::uint64_t layer, Index j, std::span<double> column) {
  const std::uint64_t item = (layer << 32U) | static_cast<std::uint64_t>(j);
  RandomStream(seed, Purpose::initialize, 0, item).normal(column);
}

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

}  // namespace relgrad
