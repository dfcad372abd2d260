#pragma once
/// The hot loops of the spline layer, on tiles of `spline_lanes` dimensions whose knots lie
/// together: a tile stays in the first-level cache while all samples pass, and every inner loop has
/// a fixed length.
#include <cstddef>

#include "relgrad/core/exact_sum.hpp"

namespace relgrad::kernels {

using Count = std::ptrdiff_t;

inline constexpr int spline_lanes = 32;
/// Numbers kept per bin in the sums of the backward pass (six used).
inline constexpr int spline_sums = 8;
inline constexpr double spline_min_share =
    1e-3;  // of the range: smallest width and height of a bin
inline constexpr double spline_min_slope = 1e-3;

/// Where a tile's dimensions lie in a matrix: `lanes` <= spline_lanes of them, `stride` = D.
struct TileShape {
  int lanes;
  Count stride;
  int bins;
};

/// Numbers of a tile's knots, [K + 1][x, y, slope][lane].
constexpr std::size_t spline_knots_size(int bins) {
  return static_cast<std::size_t>(bins + 1) * 3 * spline_lanes;
}
/// Numbers of a tile's chain factors: softmax shares of widths, then of heights ([K][lane] each),
/// then the logistic function at the raw slopes ([K + 1][lane]).
constexpr std::size_t spline_chain_size(int bins) {
  return static_cast<std::size_t>(3 * bins + 1) * spline_lanes;
}
/// Numbers of a tile's sums, [lane][K][spline_sums].
constexpr std::size_t spline_sums_size(int bins) {
  return static_cast<std::size_t>(bins) * spline_sums * spline_lanes;
}

/// Numbers of a tile's condensed sums, [lane][widths, heights, slopes].
constexpr std::size_t spline_condensed_size(int bins) {
  return static_cast<std::size_t>(3 * bins + 1) * spline_lanes;
}

// All pointers to raw parameters and their gradients point to the tile's first dimension in
// row-strided matrices: number [k * stride + lane]; those to batches: [sample * stride + lane].
#define RELGRAD_DECLARE_SPLINE(T)                                                                 \
  void spline_prepare(TileShape shape, const T* widths, const T* heights, const T* slopes,        \
                      T bound, T* knots, T* chain);                                               \
  void spline_forward(TileShape shape, const T* knots, const T* input, T* output, Count samples,  \
                      double* log_abs_det);                                                       \
  void spline_backward(TileShape shape, const T* knots, const T* input, const T* delta_out,       \
                       T* delta_in, Count samples, T* sums);                                      \
  void spline_backward_exact(TileShape shape, const T* knots, const T* input, const T* delta_out, \
                             T* delta_in, Count samples, const ExactGrid& grid, double* sums);    \
  /* condensed += what of the sums the parameters' derivatives depend on, still sums over samples \
   */                                                                                             \
  void spline_condense(TileShape shape, const T* sums, T* condensed);                             \
  void spline_chain(TileShape shape, const T* condensed, const T* chain, T bound,                 \
                    T* widths_gradient, T* heights_gradient, T* slopes_gradient);
RELGRAD_DECLARE_SPLINE(float)
RELGRAD_DECLARE_SPLINE(double)
#undef RELGRAD_DECLARE_SPLINE

}  // namespace relgrad::kernels
