#pragma once
/// Matrices to work in that keep their memory from step to step.
#include <vector>

#include "relgrad/core/types.hpp"

namespace relgrad {

template <class T>
class Room {
 public:
  /// rows x cols numbers, of no particular value; valid until the next call.
  MatrixMap<T> matrix(Index rows, Index cols) {
    const auto size = static_cast<std::size_t>(rows * cols);
    if (numbers_.size() < size) numbers_.resize(size);
    return {numbers_.data(), rows, cols};
  }

 private:
  std::vector<T> numbers_;
};

template <class T>
ConstMatrixMap<T> read(const MatrixMap<T>& matrix) {
  return {matrix.data(), matrix.rows(), matrix.cols()};
}

}  // namespace relgrad
