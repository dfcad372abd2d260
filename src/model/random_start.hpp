#pragma once
/// Random numbers of the start of training, the same wherever they are drawn.
#include <cstdint>
#include <span>

#include "relgrad/core/types.hpp"

namespace relgrad {

/// Column j of a matrix of standard normal numbers of layer number `layer`.
void normal_column(std::uint64_t seed, std::uint64_t layer, Index j, std::span<double> column);

/// Haar-distributed orthogonal matrix: Q of a QR of normal columns with the signs of R's diagonal
/// (Mezzadri 2007, arXiv math-ph/0609050).
Matrix<double> orthogonal_matrix(Index dimension, std::uint64_t seed, std::uint64_t layer);

}  // namespace relgrad
