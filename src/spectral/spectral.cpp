#include "spectral/spectral.hpp"

#include <fmt/format.h>

#include <Eigen/LU>
#include <algorithm>
#include <cmath>
#include <limits>

#include "linalg/lu.hpp"
#include "relgrad/core/error.hpp"
#include "spectral/tiles.hpp"

namespace relgrad {

namespace {

constexpr Index lanes = kernels::spectral_lanes;

/// A tile's matrices and offsets, packed, and room to work in; the calling thread's.
template <class T>
struct PackedTile {
  T* weight;
  T* bias;
  T* room;

  PackedTile(const kernels::SpectralTile& tile, const SpectralSpans<const T>& parameters,
             Index first) {
    const Index c = tile.channels;
    weight = thread_numbers<T, 0>(
        static_cast<std::size_t>((c * c + c) * lanes + kernels::spectral_room_size(c)));
    bias = weight + c * c * lanes;
    room = bias + c * lanes;
    pack(tile, c * c, parameters.weight.data() + first, weight);
    pack(tile, c, parameters.bias.data() + first, bias);
  }
};

/// A tile's sums, packed, zero at first; the calling thread's.
template <class Sum>
struct PackedSums {
  Sum* weight;
  Sum* bias;
  explicit PackedSums(Index c) {
    weight = thread_numbers<Sum, 1>(static_cast<std::size_t>((c * c + c) * lanes));
    bias = weight + c * c * lanes;
    std::fill(weight, bias + c * lanes, Sum(0));
  }
  void add_to(const kernels::SpectralTile& tile, Index first,
              const SpectralSpans<Sum>& sums) const {
    add_unpacked(tile, tile.channels * tile.channels, weight, sums.weight.data() + first);
    add_unpacked(tile, tile.channels, bias, sums.bias.data() + first);
  }
};

}  // namespace

template <class T>
SpectralMap<T>::SpectralMap(Index channels, Index height, Index width, SpectralOutput output)
    : channels_(channels),
      height_(height),
      width_(width),
      frequencies_(height * width),
      output_(output),
      transform_(height, width) {
  if (channels < 1) {
    throw UsageError(fmt::format("spectral: {} channels, must be at least 1", channels));
  }
}

template <class T>
void SpectralMap<T>::check(const char* where, const SpectralSpans<const T>& parameters,
                           const ConstMatrixMap<T>& from, const MatrixMap<T>& to) const {
  check_size(where, "weight", static_cast<std::int64_t>(parameters.weight.size()),
             static_cast<std::int64_t>(weight_size()));
  check_size(where, "bias", static_cast<std::int64_t>(parameters.bias.size()), size());
  check_size(where, "rows of the input", from.rows(), size());
  check_size(where, "rows of the output", to.rows(), size());
  check_size(where, "columns of the output", to.cols(), from.cols());
}

template <class T>
void SpectralMap<T>::initialize(const SpectralSpans<T>& parameters) const {
  std::ranges::fill(parameters.weight, T(0));
  std::ranges::fill(parameters.bias, T(0));
  for (Index c = 0; c < channels_; ++c) {
    std::fill_n(parameters.weight.data() + (c * channels_ + c) * frequencies_, frequencies_, T(1));
  }
}

template <class T>
void SpectralMap<T>::forward(const SpectralSpans<const T>& parameters, const ConstMatrixMap<T>& x,
                             MatrixMap<T> y, std::span<T> kept) const {
  check("SpectralMap::forward", parameters, x, y);
  if (!kept.empty()) {
    check_size("SpectralMap::forward", "kept", static_cast<std::int64_t>(kept.size()),
               x.cols() * kept_size());
  }
  T* spectrum = kept.empty() ? y.data() : kept.data();
  transform_.forward(x.data(), spectrum, channels_ * x.cols());
  for_each_tile(channels_, frequencies_, x.cols(),
                [&](const kernels::SpectralTile& tile, Index first) {
                  const PackedTile<T> packed(tile, parameters, first);
                  kernels::spectral_forward(tile, packed.weight, packed.bias, spectrum + first,
                                            spectrum + first, packed.room);
                });
  if (output_ == SpectralOutput::positions) {
    transform_.inverse(spectrum, y.data(), channels_ * x.cols());
  }
}

template <class T>
Matrix<double> SpectralMap<T>::block(std::span<const T> weight, Index frequency) const {
  Matrix<double> k(channels_, channels_);
  for (Index c = 0; c < channels_; ++c) {
    for (Index d = 0; d < channels_; ++d) {
      k(c, d) = static_cast<double>(
          weight[static_cast<std::size_t>((c * channels_ + d) * frequencies_ + frequency)]);
    }
  }
  return k;
}

namespace {

LuFactors factors(const char* where, const Matrix<double>& k, Index frequency, Index width) {
  return LuFactors(
      fmt::format("{}, frequency ({}, {})", where, frequency / width, frequency % width),
      ConstMatrixMap<double>(k.data(), k.rows(), k.cols()));
}

}  // namespace

template <class T>
std::vector<T> SpectralMap<T>::inverse_blocks(const char* where, std::span<const T> weight,
                                              bool transposed) const {
  std::vector<T> result(weight.size());
  for (Index f = 0; f < frequencies_; ++f) {
    const Matrix<double> inverse = factors(where, block(weight, f), f, width_).inverse();
    for (Index c = 0; c < channels_; ++c) {
      for (Index d = 0; d < channels_; ++d) {
        result[static_cast<std::size_t>((c * channels_ + d) * frequencies_ + f)] =
            static_cast<T>(transposed ? inverse(d, c) : inverse(c, d));
      }
    }
  }
  return result;
}

template <class T>
std::vector<T> SpectralMap<T>::inverse_transposed(const char* where,
                                                  std::span<const T> weight) const {
  return inverse_blocks(where, weight, /*transposed=*/true);
}

template <class T>
void SpectralMap<T>::inverse(const char* where, const SpectralSpans<const T>& parameters,
                             const ConstMatrixMap<T>& y, MatrixMap<T> x) const {
  check("SpectralMap::inverse", parameters, y, x);
  const std::vector<T> inverses = inverse_blocks(where, parameters.weight, /*transposed=*/false);
  const std::vector<T> zero(bias_size());
  const Index planes = channels_ * y.cols();
  if (output_ == SpectralOutput::positions) {
    transform_.forward(y.data(), x.data(), planes);
  } else if (x.data() != y.data()) {
    x = y;
  }
  // Z = K^{-1} (Y - b)
  x.colwise() -= ConstVectorMap<T>(parameters.bias.data(), size());
  for_each_tile(channels_, frequencies_, y.cols(),
                [&](const kernels::SpectralTile& tile, Index first) {
                  const PackedTile<T> packed(tile, {inverses, zero}, first);
                  kernels::spectral_forward(tile, packed.weight, packed.bias, x.data() + first,
                                            x.data() + first, packed.room);
                });
  transform_.inverse(x.data(), x.data(), planes);
}

template <class T>
double SpectralMap<T>::log_abs_det(const char* where, std::span<const T> weight) const {
  check_size("SpectralMap::log_abs_det", "weight", static_cast<std::int64_t>(weight.size()),
             static_cast<std::int64_t>(weight_size()));
  // of so many channels on the stack: this is part of every step
  using SmallBlock = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, 0, 16, 16>;
  double sum = 0.0;
  for (Index f = 0; f < frequencies_; ++f) {
    double part = std::numeric_limits<double>::quiet_NaN();
    if (channels_ <= SmallBlock::MaxRowsAtCompileTime) {
      SmallBlock small(channels_, channels_);
      for (Index element = 0; element < channels_ * channels_; ++element) {
        small(element / channels_, element % channels_) =
            static_cast<double>(weight[static_cast<std::size_t>(element * frequencies_ + f)]);
      }
      part = Eigen::PartialPivLU<SmallBlock>(small).matrixLU().diagonal().array().abs().log().sum();
    }
    // a larger one; or one that is singular or not finite, which this tells as an error
    sum += std::isfinite(part) ? part : factors(where, block(weight, f), f, width_).log_abs_det();
  }
  return sum;
}

/// From dL/dy, whichever it is, to dL/dY, which `tile_backward(tile, first, delta)` replaces by
/// dL/dZ; then to dL/dx.
template <class T>
template <class TileBackward>
void SpectralMap<T>::backward_through(const ConstMatrixMap<T>& delta_y, MatrixMap<T> delta_x,
                                      const TileBackward& tile_backward) const {
  const Index planes = channels_ * delta_y.cols();
  if (output_ == SpectralOutput::positions) {
    transform_.forward(delta_y.data(), delta_x.data(), planes);
  } else if (delta_x.data() != delta_y.data()) {
    delta_x = delta_y;
  }
  for_each_tile(channels_, frequencies_, delta_y.cols(),
                [&](const kernels::SpectralTile& tile, Index first) {
                  tile_backward(tile, first, delta_x.data() + first);
                });
  transform_.inverse(delta_x.data(), delta_x.data(), planes);
}

template <class T>
const T* SpectralMap<T>::spectrum_of(const ConstMatrixMap<T>& y, std::span<const T> kept) const {
  if (output_ == SpectralOutput::frequencies) return y.data();
  check_size("SpectralMap::backward", "kept", static_cast<std::int64_t>(kept.size()),
             y.cols() * kept_size());
  return kept.data();
}

template <class T>
void SpectralMap<T>::backward(const SpectralSpans<const T>& parameters, const ConstMatrixMap<T>& y,
                              std::span<const T> kept, const ConstMatrixMap<T>& delta_y,
                              MatrixMap<T> delta_x, const SpectralSpans<T>& gradients) const {
  check("SpectralMap::backward", parameters, delta_y, delta_x);
  const T* spectrum = spectrum_of(y, kept);
  backward_through(delta_y, delta_x, [&](const auto& tile, Index first, T* delta) {
    const PackedTile<T> packed(tile, parameters, first);
    const PackedSums<T> sums(channels_);
    kernels::spectral_backward(tile, packed.weight, packed.bias, spectrum + first, delta,
                               packed.room, sums.weight, sums.bias);
    sums.add_to(tile, first, gradients);
  });
}

template <class T>
void SpectralMap<T>::backward_exact(const SpectralSpans<const T>& parameters,
                                    const ConstMatrixMap<T>& y, std::span<const T> kept,
                                    const ConstMatrixMap<T>& delta_y, MatrixMap<T> delta_x,
                                    const ExactGrid& grid,
                                    const SpectralSpans<double>& sums_of_batch) const {
  check("SpectralMap::backward_exact", parameters, delta_y, delta_x);
  const T* spectrum = spectrum_of(y, kept);
  backward_through(delta_y, delta_x, [&](const auto& tile, Index first, T* delta) {
    const PackedTile<T> packed(tile, parameters, first);
    const PackedSums<double> sums(channels_);
    kernels::spectral_backward_exact(tile, packed.weight, packed.bias, spectrum + first, delta,
                                     packed.room, grid, sums.weight, sums.bias);
    sums.add_to(tile, first, sums_of_batch);
  });
}

template <class T>
void SpectralMap<T>::backward_plain(const SpectralSpans<const T>& parameters,
                                    const ConstMatrixMap<T>& x, const ConstMatrixMap<T>& delta_y,
                                    MatrixMap<T> delta_x, const SpectralSpans<T>& gradients) const {
  check("SpectralMap::backward_plain", parameters, delta_y, delta_x);
  Matrix<T> z(x.rows(), x.cols());
  transform_.forward(x.data(), z.data(), channels_ * x.cols());
  backward_through(delta_y, delta_x, [&](const auto& tile, Index first, T* delta) {
    const PackedTile<T> packed(tile, parameters, first);
    const PackedSums<T> sums(channels_);
    kernels::spectral_backward_plain(tile, packed.weight, z.data() + first, delta, packed.room,
                                     sums.weight, sums.bias);
    sums.add_to(tile, first, gradients);
  });
}

template class SpectralMap<float>;
template class SpectralMap<double>;

}  // namespace relgrad
