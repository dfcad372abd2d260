#pragma once
/// Actnorm (Glow, arXiv 1807.03039, section 3.1): one scale and one shift per channel,
///   y = exp(s) (x - m),   log|det| = H W sum s
/// that start where the first batch has mean 0 and variance 1 in every channel.
#include <cstdint>
#include <span>
#include <vector>

#include "relgrad/core/exact_sum.hpp"
#include "relgrad/core/types.hpp"

namespace relgrad {

/// On batches whose columns are samples of `channels` planes of `plane` numbers each; `log_scale`
/// is s, `shift` is m, C numbers each. What a sample gets depends neither on the samples beside it
/// nor on the number of threads.
template <class T>
class Actnorm {
 public:
  Actnorm(Index channels, Index plane) : channels_(channels), plane_(plane) {}

  /// s and m that give channels of this mean and variance mean 0 and variance 1:
  /// m = mean, s = -log(variance + 1e-6) / 2.
  void start_from(std::span<const double> mean, std::span<const double> variance,
                  std::span<T> log_scale, std::span<T> shift) const;
  /// log|det| of every sample, nats.
  double log_abs_det(std::span<const T> log_scale) const;
  /// Outputs may be the inputs' memory.
  void forward(std::span<const T> log_scale, std::span<const T> shift, const ConstMatrixMap<T>& x,
               MatrixMap<T> y) const;
  void inverse(std::span<const T> log_scale, std::span<const T> shift, const ConstMatrixMap<T>& y,
               MatrixMap<T> x) const;
  /// Given delta_y = dL/dy of the outputs y, writes delta_x = dL/dx (may be delta_y's memory) and
  /// ADDS the sums over samples
  ///   ds = sum y dL/dy,   dm = -exp(s) sum dL/dy
  /// To ds the caller adds H W for every sample, which comes from log|det|.
  void backward(std::span<const T> log_scale, const ConstMatrixMap<T>& y,
                const ConstMatrixMap<T>& delta_y, MatrixMap<T> delta_x,
                std::span<T> log_scale_gradient, std::span<T> shift_gradient) const;
  /// The same with sums that come out the same however samples are split over ranks.
  void backward_exact(std::span<const T> log_scale, const ConstMatrixMap<T>& y,
                      const ConstMatrixMap<T>& delta_y, MatrixMap<T> delta_x, const ExactGrid& grid,
                      std::span<double> log_scale_sums, std::span<double> shift_sums) const;

 private:
  template <class Put>
  void for_each_channel(std::span<const T> log_scale, const ConstMatrixMap<T>& y,
                        const ConstMatrixMap<T>& delta_y, MatrixMap<T> delta_x,
                        const Put& put) const;

  Index channels_;
  Index plane_;
};

/// Mean and variance of every channel over batches and ranks, for actnorm's start. The terms of
/// every sample are added exactly, so the result does not depend on how samples are split.
class ChannelMoments {
 public:
  /// @param most_samples  that are added, all ranks together
  ChannelMoments(Index channels, Index plane, std::int64_t most_samples);
  template <class T>
  void add(const ConstMatrixMap<T>& batch);
  /// The sums of this rank, 1 + 2 C numbers; the caller replaces them by the sums over ranks before
  /// it asks for results.
  std::span<double> sums() { return sums_; }
  /// C numbers each. @throws ShapeError if no sample was added.
  void mean_and_variance(std::span<double> mean, std::span<double> variance) const;

 private:
  Index channels_;
  Index plane_;
  ExactGrid grid_;
  std::vector<double> sums_;  // samples; then sum and sum of squares of each channel
};

}  // namespace relgrad
