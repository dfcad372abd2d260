#pragma once
/// Memory of one forward and backward pass, reserved once for the largest batch.
#include <vector>

#include "relgrad/model/flow.hpp"

namespace relgrad {

template <class T>
class Workspace {
 public:
  /// @param capacity  samples of the largest batch
  Workspace(const Flow<T>& flow, Index capacity);

  /// Sets the batch of the coming pass. @throws ShapeError if larger than the capacity.
  void set_batch(Index batch);
  Index batch() const { return batch_; }
  Index capacity() const { return capacity_; }

  MatrixMap<T> input();               // x, D x B
  MatrixMap<T> value(std::size_t i);  // output of layer i, D x B
  MatrixMap<T> delta(std::size_t i);  // dL / d(output of layer i), D x B
  MatrixMap<T> pair(std::size_t i);   // [delta | value], D x 2B, one block of memory
  MatrixMap<T> scratch_pair();        // D x 2B: [W^T Delta | W^T Y] of the linear layer at work
  ConstMatrixMap<T> input_of(std::size_t i);  // value of the layer before, or x
  std::span<double> log_likelihood();         // size B, nats

 private:
  Index dimension_;
  Index capacity_;
  Index batch_ = 0;
  std::vector<Matrix<T>> pairs_;
  Matrix<T> input_;
  Matrix<T> scratch_;
  std::vector<double> log_likelihood_;
};

}  // namespace relgrad
