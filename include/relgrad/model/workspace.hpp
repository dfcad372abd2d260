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
  /// @param count   0 where a rank has no part of the batch, which is no trouble; -1 if it has
  ///                trouble. Returns false, on every rank of the group, if one has.
  /// @param labels  of a conditional flow: `count` of them, or none, where no label is known
  bool load(const T* samples, Index count, std::span<const Label> labels = {});
  Index batch() const { return batch_; }
  Index capacity() const { return capacity_; }
  /// Of the batch, those that this rank brought to load().
  Range own_samples() const { return own_samples_; }

  // D' x B each, D' the coordinates of this rank: all of them without a row group.
  MatrixMap<T> input();                       // x
  MatrixMap<T> value(std::size_t i);          // output of layer i
  ConstMatrixMap<T> input_of(std::size_t i);  // value of the layer before, or x
  /// dL/d(output of layer i) of the backward pass; it stands in front of value(i).
  MatrixMap<T> delta(std::size_t i);
  /// dL/dx after the backward pass, if it was asked for.
  MatrixMap<T> input_delta();
  void ask_for_input_delta() { input_delta_is_needed_ = true; }
  /// z after the forward pass: what left the flow, in the order in which it left. Valid until the
  /// next pass.
  ConstMatrixMap<T> latents();
  std::span<double> log_likelihood();      // size B, nats
  std::span<double> own_log_likelihood();  // of own_samples()

  LayerPass<T> pass(std::size_t i);
  LayerDelta<T> layer_delta(std::size_t i);
  /// Of a conditional flow after the forward pass, classes x B: log p(k | x) of the samples that
  /// have no label. Valid until the next pass.
  ConstMatrixMap<T> log_posterior();

 private:
  void load_labels(std::span<const Label> labels);

  struct LayerMemory {
    Index rows, leaves, kept, scratch;  // per sample
    Matrix<T> pair;                     // [delta | value], rows x 2 capacity
    Matrix<T> latent_and_kept;          // (leaves + kept) x capacity
  };

  Index dimension_;
  Index rows_;  // of x
  Index capacity_;
  Index batch_ = 0;
  Range own_samples_{0, 0};
  RowGroup<T>* row_group_;
  std::vector<LayerMemory> layers_;
  Matrix<T> input_;
  Matrix<T> input_delta_;
  bool input_delta_is_needed_ = false;
  Matrix<T> scratch_;
  Matrix<T> latents_;  // where they leave in more than one place
  std::vector<double> log_likelihood_;
  std::vector<Label> labels_;  // of a conditional flow; otherwise empty
};

}  // namespace relgrad
