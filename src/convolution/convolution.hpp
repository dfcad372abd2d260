#pragma once
/// Convolutions over the channels of images, and what their gradients need. A batch is D x B, a
/// column per sample; a sample is C x H x W, channels outermost, W contiguous. Weights are
/// C_out x C_in x k x k, row-major, as in PyTorch. float and double.
#include <span>
#include <string_view>

#include "relgrad/core/exact_sum.hpp"
#include "relgrad/core/types.hpp"

namespace relgrad {

/// What lies beyond the border of an image: zeros, or the opposite border.
enum class Padding { zero, circular };

struct ConvolutionShape {
  Index channels_in = 1;
  Index channels_out = 1;
  Index height = 1;
  Index width = 1;
  Index taps = 3;  // k, along each axis: 1, 3, 5 or 7; (k - 1)/2 of them beyond the border
  Padding padding = Padding::zero;

  Index positions() const { return height * width; }
  Index inputs() const { return channels_in * positions(); }
  Index outputs() const { return channels_out * positions(); }
  Index weights() const { return channels_out * channels_in * taps * taps; }
  /// Of the convolution with flipped weights: channels in and out change places.
  ConvolutionShape transposed() const {
    return {channels_out, channels_in, height, width, taps, padding};
  }
};

/// @throws UsageError, naming `where`, unless all sizes are positive and k is 1, 3, 5 or 7.
void check_convolution(std::string_view where, const ConvolutionShape& shape);

/// Numbers of scratch memory that each of the functions below needs, for a batch of any size and
/// the threads that OpenMP may use now. Its contents mean nothing between calls.
template <class T>
Index convolution_scratch_size(const ConvolutionShape& shape);

/// Y = w * X + b:  y(o, h, w) = b(o) + sum_{c, i, j} w(o, c, i, j) x(c, h + i - r, w + j - r), with
/// r = (k - 1)/2. A sample's output does not depend on the batch around it or on threads.
/// Cost: 2 C_in C_out k^2 HW flops per sample.
/// @param bias  C_out numbers, or empty: zeros
/// @param output  may be the input's memory where C_in = C_out
template <class T>
void convolve(const ConvolutionShape& shape, std::span<const T> weights, std::span<const T> bias,
              const ConstMatrixMap<T>& input, MatrixMap<T> output, std::span<T> scratch);

/// delta_in = w^T * delta_out, the derivative by the input: convolve() with flipped weights.
/// @param shape  of the forward pass; so are the weights
template <class T>
void convolve_transposed(const ConvolutionShape& shape, std::span<const T> weights,
                         const ConstMatrixMap<T>& delta_out, MatrixMap<T> delta_in,
                         std::span<T> scratch);

/// Adds sum_n delta corr x to the derivative by the weights:
///   weight_sums(o, c, i, j) += sum_{n, h, w} delta(o, h, w) x(c, h + i - r, w + j - r)
///   bias_sums(o) += sum_{n, h, w} delta(o, h, w)
/// The bits do not depend on the number of threads. Cost: as convolve().
template <class T>
void add_weight_gradient(const ConvolutionShape& shape, const ConstMatrixMap<T>& input,
                         const ConstMatrixMap<T>& delta_out, std::span<T> weight_sums,
                         std::span<T> bias_sums, std::span<T> scratch);

/// The same in sums whose bits do not depend on how samples are split over ranks: each sample's
/// term, summed over positions in T, is rounded to the grid.
template <class T>
void add_weight_gradient_exact(const ConvolutionShape& shape, const ConstMatrixMap<T>& input,
                               const ConstMatrixMap<T>& delta_out, const ExactGrid& grid,
                               std::span<double> weight_sums, std::span<double> bias_sums,
                               std::span<T> scratch);

/// Weights of the transposed convolution, C_in x C_out x k x k: channels change places, both axes
/// are mirrored. `flipped` must not be `weights`.
template <class T>
void flip_weights(const ConvolutionShape& shape, std::span<const T> weights, std::span<T> flipped);

/// Positions of an image at which tap (i, j) meets another position of the image, not the padding:
///   m(i, j) = (H - |i - r|)+ (W - |j - r|)+  with zeros around it, HW where it is circular.
/// The weight occurs so often in the matrix of the convolution; m is its own mirror image.
Index tap_multiplicity(const ConvolutionShape& shape, Index i, Index j);

}  // namespace relgrad
