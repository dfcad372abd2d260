#pragma once
/// The hot loops of the transforms of 8-bit data over the `count` dimensions of one sample.
#include <cstddef>
#include <cstdint>

namespace relgrad::kernels {

using Count = std::ptrdiff_t;

/// One level of a marginal's table: cumulative mass below it, above it, its own, and log of its
/// own.
inline constexpr int marginal_entry_size = 4;
/// Numbers from one dimension's first entry to the next one's. One entry more than the 256 levels:
/// at a power of two the same level of all dimensions (the background) would compete for one cache
/// set.
inline constexpr int marginal_stride = 257 * marginal_entry_size;

// `noise` lies in (0, 1). Where a sum is returned, it is of log dx/dv, in nats. The marginal's
// table is [dimension][level][entry].
#define RELGRAD_DECLARE_TRANSFORM(T)                                                   \
  double logit_forward(const std::uint8_t* v, const T* noise, T* x, Count count, T a); \
  double logit_log_slope(const std::uint8_t* v, const T* noise, Count count, T a);     \
  double marginal_forward(const std::uint8_t* v, const T* noise, const T* table, T* x, \
                          Count count);                                                \
  void standardize_forward(const std::uint8_t* v, const T* noise, const T* mean,       \
                           const T* inverse_deviation, T* x, Count count);
RELGRAD_DECLARE_TRANSFORM(float)
RELGRAD_DECLARE_TRANSFORM(double)
#undef RELGRAD_DECLARE_TRANSFORM

}  // namespace relgrad::kernels
