#pragma once
/// Memory of one forward and backward pass, reserved once for the largest batch.
#include <vector>

#include "relgrad/model/flow.hpp"

namespace relgrad {

template <class T>
class Workspace {
 public:
  /// @param capacity  samples of the largest batch of a rank
  Workspace(const Flow<T>& flow, Index capacity);

  /// Sets the batch of the coming pass. @throws ShapeError if larger than the capacity.
  void set_batch(Index batch);
  /// The samples of the coming pass, D x count: input() becomes a copy, log_likelihood() zero. In a
  /// row group, collective: input() becomes this rank's coordinates of the samples of all ranks.
  /// @param count  0 where a rank has no part of the batch, which is no trouble; -1 if it has
  ///               trouble. Returns false, on every rank of the group, if one has.
  bool load(const T* samples, Index count);
  Index batch() const { return batch_; }
  Index capacity() const { return capacity_; }
  /// Of the batch, those that this rank brought to load().
  Range own_samples() const { return own_samples_; }

  // D' x B, D' = |flow.own()|: all D coordinates, or in a row group this rank's.
  MatrixMap<T> input();               // x, D x B
  MatrixMap<T> value(std::size_t i);  // output of layer i, D x B
  MatrixMap<T> delta(std::size_t i);  // dL / d(output of layer i), D x B
  MatrixMap<T> pair(std::size_t i);   // [delta | value], D x 2B, one block of memory
  MatrixMap<T> scratch_pair();        // D x 2B: [W^T Delta | W^T Y] of the linear layer at work
  ConstMatrixMap<T> input_of(std::size_t i);  // value of the layer before, or x
  std::span<double> log_likelihood();         // size B, nats
  std::span<double> own_log_likelihood();     // of own_samples()

 private:
  Index dimension_;
  Index rows_;
  Index capacity_;
  Index batch_ = 0;
  Range own_samples_{0, 0};
  RowGroup<T>* row_group_;
  std::vector<Matrix<T>> pairs_;
  Matrix<T> input_;
  Matrix<T> scratch_;
  std::vector<double> log_likelihood_;
};

}  // namespace relgrad
