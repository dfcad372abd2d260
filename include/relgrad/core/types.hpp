#pragma once
/// Types used everywhere. Matrices are column-major; a batch is D x B, one sample per column.
#include <Eigen/Core>
#include <cstdint>

namespace relgrad {

using Index = Eigen::Index;  // 64-bit, signed

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;
template <class T>
using Vector = Eigen::Matrix<T, Eigen::Dynamic, 1>;

/// A contiguous column-major matrix whose memory belongs to somebody else.
template <class T>
using MatrixMap = Eigen::Map<Matrix<T>>;
template <class T>
using ConstMatrixMap = Eigen::Map<const Matrix<T>>;
template <class T>
using VectorMap = Eigen::Map<Vector<T>>;
template <class T>
using ConstVectorMap = Eigen::Map<const Vector<T>>;

}  // namespace relgrad
