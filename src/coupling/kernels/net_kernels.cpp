#include "coupling/kernels/net_kernels.hpp"

#include <bit>

#include "core/simd_math.hpp"

namespace relgrad::kernels {

namespace {

template <class T, class Word>
RELGRAD_INLINE T where(Word mask, T value) {
  return std::bit_cast<T>(static_cast<Word>(std::bit_cast<Word>(value) & mask));
}

// Mirrored shifts are those of the opposite tap, 8 - t: its offset is minus this one's.
template <class T, class Word>
RELGRAD_INLINE void unfold_body(const Taps<Word>& shifts, bool mirrored, const T* from, T* to) {
  for (int t = 0; t < taps; ++t, to += shifts.positions) {
    const int tap = mirrored ? taps - 1 - t : t;
    const Word* inside = shifts.inside + tap * shifts.stride;
    const T* shifted = from + shifts.offset[tap];
#pragma omp simd
    for (Count p = 0; p < shifts.positions; ++p) to[p] = where<T>(inside[p], shifted[p]);
  }
}

template <class T, class Word>
RELGRAD_INLINE void fold_body(const Taps<Word>& shifts, bool mirrored, const T* from, T* to) {
  const T* shifted[taps];
  const Word* inside[taps];
  for (int t = 0; t < taps; ++t) {
    const int tap = mirrored ? taps - 1 - t : t;
    shifted[t] = from + t * shifts.positions + shifts.offset[tap];
    inside[t] = shifts.inside + tap * shifts.stride;
  }
#pragma omp simd
  for (Count p = 0; p < shifts.positions; ++p) {
    T sum = 0;
#pragma GCC unroll 9
    for (int t = 0; t < taps; ++t) sum += where<T>(inside[t][p], shifted[t][p]);
    to[p] = sum;
  }
}

template <class T>
RELGRAD_INLINE void add_bias_and_relu_body(T* x, T bias, Count count) {
#pragma omp simd
  for (Count p = 0; p < count; ++p) {
    const T y = x[p] + bias;
    x[p] = y < T(0) ? T(0) : y;  // keeps what is not a number
  }
}

template <class T>
RELGRAD_INLINE void relu_backward_body(const T* active, T* delta, Count count) {
#pragma omp simd
  for (Count p = 0; p < count; ++p) delta[p] = active[p] > T(0) ? delta[p] : T(0);
}

template <class T>
RELGRAD_INLINE void add_bias_and_scale_body(T* x, T bias, T scale, Count count) {
#pragma omp simd
  for (Count p = 0; p < count; ++p) x[p] = scale * (x[p] + bias);
}

template <class T>
RELGRAD_INLINE T sum_body(const T* a, Count count) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (Count i = 0; i < count; ++i) sum += a[i];
  return sum;
}

template <class T>
RELGRAD_INLINE void multiply_body(const T* by, T* to, Count count) {
#pragma omp simd
  for (Count i = 0; i < count; ++i) to[i] *= by[i];
}

template <class T>
RELGRAD_INLINE void add_body(const T* from, T* to, Count count) {
#pragma omp simd
  for (Count i = 0; i < count; ++i) to[i] += from[i];
}

/// As ExactGrid::round.
template <class T>
RELGRAD_INLINE void add_rounded_body(const T* from, double limit, double magic, double* to,
                                     Count count) {
#pragma omp simd
  for (Count i = 0; i < count; ++i) {
    const auto term = static_cast<double>(from[i]);
    const double held = term > limit ? limit : (term < -limit ? -limit : term);
    to[i] += (held + magic) - magic;
  }
}

}  // namespace

#define RELGRAD_DEFINE_NET(T, TapsOf)                                                            \
  RELGRAD_SIMD_CLONES void unfold(const TapsOf& shifts, bool mirrored, const T* from, T* to) {   \
    unfold_body(shifts, mirrored, from, to);                                                     \
  }                                                                                              \
  RELGRAD_SIMD_CLONES void fold(const TapsOf& shifts, bool mirrored, const T* from, T* to) {     \
    fold_body(shifts, mirrored, from, to);                                                       \
  }                                                                                              \
  RELGRAD_SIMD_CLONES void add_bias_and_relu(T* x, T bias, Count count) {                        \
    add_bias_and_relu_body(x, bias, count);                                                      \
  }                                                                                              \
  RELGRAD_SIMD_CLONES void relu_backward(const T* active, T* delta, Count count) {               \
    relu_backward_body(active, delta, count);                                                    \
  }                                                                                              \
  RELGRAD_SIMD_CLONES void add_bias_and_scale(T* x, T bias, T scale, Count count) {              \
    add_bias_and_scale_body(x, bias, scale, count);                                              \
  }                                                                                              \
  RELGRAD_SIMD_CLONES T sum(const T* a, Count count) { return sum_body(a, count); }              \
  RELGRAD_SIMD_CLONES void multiply(const T* by, T* to, Count count) {                           \
    multiply_body(by, to, count);                                                                \
  }                                                                                              \
  RELGRAD_SIMD_CLONES void add(const T* from, T* to, Count count) { add_body(from, to, count); } \
  RELGRAD_SIMD_CLONES void add_rounded(const T* from, const ExactGrid& grid, double* to,         \
                                       Count count) {                                            \
    add_rounded_body(from, grid.limit(), grid.magic(), to, count);                               \
  }
RELGRAD_DEFINE_NET(float, Taps32)
RELGRAD_DEFINE_NET(double, Taps64)
#undef RELGRAD_DEFINE_NET

}  // namespace relgrad::kernels
