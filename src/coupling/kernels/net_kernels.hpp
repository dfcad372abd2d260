#pragma once
/// The loops of a coupling's net beside its products. A block holds the planes of several samples;
/// a channel of it is one row of P positions, sample after sample.
#include <cstddef>
#include <cstdint>

#include "relgrad/core/exact_sum.hpp"

namespace relgrad::kernels {

using Count = std::ptrdiff_t;

inline constexpr int taps = 9;  // of a 3 x 3 kernel: (dy, dx) from (-1, -1) to (1, 1)

/// Shifts of the nine taps of a 3 x 3 kernel: tap t reads position p + offset[t] where
/// inside[t * stride + p] has all bits set, and zero where it has none.
template <class Word>
struct Taps {
  const Word* inside;
  Count stride;
  Count offset[taps];
  Count positions;  // of a row
};
using Taps32 = Taps<std::uint32_t>;
using Taps64 = Taps<std::uint64_t>;

/// Shifts may read (but not use) this many numbers before the first and behind the last row.
constexpr Count guard(Count width) { return width + 1; }

#define RELGRAD_DECLARE_NET(T, TapsOf)                                                         \
  /* to[t][p] = from[p + offset[t]], P numbers per tap; with `mirrored` from[p - offset[t]] */ \
  void unfold(const TapsOf& shifts, bool mirrored, const T* from, T* to);                      \
  /* to[p] = sum_t from[t][p + offset[t]]; with `mirrored` from[t][p - offset[t]] */           \
  void fold(const TapsOf& shifts, bool mirrored, const T* from, T* to);                        \
  /* x <- max(x + bias, 0) */                                                                  \
  void add_bias_and_relu(T* x, T bias, Count count);                                           \
  /* delta <- delta where active > 0, else 0 */                                                \
  void relu_backward(const T* active, T* delta, Count count);                                  \
  /* x <- scale (x + bias) */                                                                  \
  void add_bias_and_scale(T* x, T bias, T scale, Count count);                                 \
  T sum(const T* a, Count count);                                                              \
  /* to *= by */                                                                               \
  void multiply(const T* by, T* to, Count count);                                              \
  /* to += from */                                                                             \
  void add(const T* from, T* to, Count count);                                                 \
  /* to += grid.round(from) */                                                                 \
  void add_rounded(const T* from, const ExactGrid& grid, double* to, Count count);
RELGRAD_DECLARE_NET(float, Taps32)
RELGRAD_DECLARE_NET(double, Taps64)
#undef RELGRAD_DECLARE_NET

}  // namespace relgrad::kernels
