#include "coupling/actnorm.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/columns.hpp"
#include "coupling/kernels/actnorm_kernels.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

template <class T>
void check_batch(const char* where, Index rows, const ConstMatrixMap<T>& from,
                 const MatrixMap<T>& to) {
  check_size(where, "rows of the input", from.rows(), rows);
  check_size(where, "rows of the output", to.rows(), rows);
  check_size(where, "columns of the output", to.cols(), from.cols());
}

}  // namespace

template <class T>
void Actnorm<T>::start_from(std::span<const double> mean, std::span<const double> variance,
                            std::span<T> log_scale, std::span<T> shift) const {
  constexpr double least_variance = 1e-6;
  for (std::size_t c = 0; c < static_cast<std::size_t>(channels_); ++c) {
    shift[c] = static_cast<T>(mean[c]);
    log_scale[c] = static_cast<T>(-0.5 * std::log(variance[c] + least_variance));
  }
}

template <class T>
double Actnorm<T>::log_abs_det(std::span<const T> log_scale) const {
  return static_cast<double>(plane_) * std::accumulate(log_scale.begin(), log_scale.end(), 0.0);
}

template <class T>
void Actnorm<T>::forward(std::span<const T> log_scale, std::span<const T> shift,
                         const ConstMatrixMap<T>& x, MatrixMap<T> y) const {
  check_batch("Actnorm::forward", channels_ * plane_, x, y);
  for_each_sample(x.rows(), x.cols(), [&](Index n) {
    for (Index c = 0; c < channels_; ++c) {
      const auto i = static_cast<std::size_t>(c);
      const Index at = (n * channels_ + c) * plane_;
      const T scale = std::exp(log_scale[i]);
      kernels::scale_and_add(x.data() + at, y.data() + at, scale, -scale * shift[i], plane_);
    }
  });
}

template <class T>
void Actnorm<T>::inverse(std::span<const T> log_scale, std::span<const T> shift,
                         const ConstMatrixMap<T>& y, MatrixMap<T> x) const {
  check_batch("Actnorm::inverse", channels_ * plane_, y, x);
  for_each_sample(y.rows(), y.cols(), [&](Index n) {
    for (Index c = 0; c < channels_; ++c) {
      const auto i = static_cast<std::size_t>(c);
      const Index at = (n * channels_ + c) * plane_;
      kernels::scale_and_add(y.data() + at, x.data() + at, std::exp(-log_scale[i]), shift[i],
                             plane_);
    }
  });
}

/// put(channel, dL/ds, dL/dm) for every sample, one channel after the other: threads share out
/// channels, so sums do not depend on their number.
template <class T>
template <class Put>
void Actnorm<T>::for_each_channel(std::span<const T> log_scale, const ConstMatrixMap<T>& y,
                                  const ConstMatrixMap<T>& delta_y, MatrixMap<T> delta_x,
                                  const Put& put) const {
  check_batch("Actnorm::backward", channels_ * plane_, y, delta_x);
  check_size("Actnorm::backward", "columns of delta_y", delta_y.cols(), y.cols());
  for_each_index(channels_, y.size() >= threaded_batch_size, [&](Index c) {
    const T scale = std::exp(log_scale[static_cast<std::size_t>(c)]);
    for (Index n = 0; n < y.cols(); ++n) {
      const Index at = (n * channels_ + c) * plane_;
      T product = 0;
      T sum = 0;
      kernels::actnorm_backward(y.data() + at, delta_y.data() + at, delta_x.data() + at, scale,
                                plane_, &product, &sum);
      put(static_cast<std::size_t>(c), product, -scale * sum);
    }
  });
}

template <class T>
void Actnorm<T>::backward(std::span<const T> log_scale, const ConstMatrixMap<T>& y,
                          const ConstMatrixMap<T>& delta_y, MatrixMap<T> delta_x,
                          std::span<T> log_scale_gradient, std::span<T> shift_gradient) const {
  for_each_channel(log_scale, y, delta_y, delta_x, [&](std::size_t c, T by_log_scale, T by_shift) {
    log_scale_gradient[c] += by_log_scale;
    shift_gradient[c] += by_shift;
  });
}

template <class T>
void Actnorm<T>::backward_exact(std::span<const T> log_scale, const ConstMatrixMap<T>& y,
                                const ConstMatrixMap<T>& delta_y, MatrixMap<T> delta_x,
                                const ExactGrid& grid, std::span<double> log_scale_sums,
                                std::span<double> shift_sums) const {
  for_each_channel(log_scale, y, delta_y, delta_x, [&](std::size_t c, T by_log_scale, T by_shift) {
    log_scale_sums[c] += grid.round(static_cast<double>(by_log_scale));
    shift_sums[c] += grid.round(static_cast<double>(by_shift));
  });
}

namespace {

// A sample's sum of squares per channel is held below 2^30: 8-bit pixels of 128 x 128 positions.
constexpr int moment_bits = 30;

}  // namespace

ChannelMoments::ChannelMoments(Index channels, Index plane, std::int64_t most_samples)
    : channels_(channels),
      plane_(plane),
      grid_(moment_bits, most_samples),
      sums_(static_cast<std::size_t>(1 + 2 * channels)) {}

template <class T>
void ChannelMoments::add(const ConstMatrixMap<T>& batch) {
  check_size("ChannelMoments::add", "rows of the batch", batch.rows(), channels_ * plane_);
  sums_[0] += static_cast<double>(batch.cols());
  for (Index n = 0; n < batch.cols(); ++n) {
    for (Index c = 0; c < channels_; ++c) {
      const auto numbers = ConstVectorMap<T>(batch.data() + (n * channels_ + c) * plane_, plane_)
                               .template cast<double>();
      sums_[static_cast<std::size_t>(1 + 2 * c)] += grid_.round(numbers.sum());
      sums_[static_cast<std::size_t>(2 + 2 * c)] += grid_.round(numbers.squaredNorm());
    }
  }
}

void ChannelMoments::mean_and_variance(std::span<double> mean, std::span<double> variance) const {
  const double count = sums_[0] * static_cast<double>(plane_);
  if (!(count > 0.0))
    throw ShapeError("ChannelMoments: no sample was added, expected at least one");
  for (std::size_t c = 0; c < static_cast<std::size_t>(channels_); ++c) {
    mean[c] = sums_[1 + 2 * c] / count;
    variance[c] = std::max(sums_[2 + 2 * c] / count - mean[c] * mean[c], 0.0);
  }
}

template class Actnorm<float>;
template class Actnorm<double>;
template void ChannelMoments::add(const ConstMatrixMap<float>&);
template void ChannelMoments::add(const ConstMatrixMap<double>&);

}  // namespace relgrad
