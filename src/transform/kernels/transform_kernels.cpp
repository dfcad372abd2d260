#include "transform/kernels/transform_kernels.hpp"

#include <algorithm>

#include "core/simd_math.hpp"
#include "transform/normal_quantile.hpp"

namespace relgrad::kernels {

namespace {

constexpr Count sum_chunk = 256;  // numbers summed in T before the sum goes on in double

template <class T, class Term>
RELGRAD_INLINE double chunked_sum(Count count, Term term) {
  double total = 0.0;
  for (Count begin = 0; begin < count; begin += sum_chunk) {
    const int size = static_cast<int>(std::min(sum_chunk, count - begin));
    T sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < size; ++i) sum += term(begin, i);
    total += static_cast<double>(sum);
  }
  return total;
}

template <class T>
struct UnitPair {
  T below;  // s
  T above;  // 1 - s, from its own side: 256 - v - u is exact where 1 - s would cancel
};

// s = a + (1 - 2a) (v + u) / 256
template <class T>
RELGRAD_INLINE UnitPair<T> squeeze(std::uint8_t level, T u, T a) {
  const T v = static_cast<T>(static_cast<int>(level));
  const T scale = (T(1) - T(2) * a) / T(256);
  return {a + scale * (v + u), a + scale * ((T(256) - v) - u)};
}

// dx/dv = (1 - 2a) / (256 s (1 - s))
template <class T>
RELGRAD_INLINE T log_slope_of(const UnitPair<T>& s, T a) {
  return simd::log((T(1) - T(2) * a) / (T(256) * s.below * s.above));
}

template <class T>
RELGRAD_INLINE double logit_forward_body(const std::uint8_t* v, const T* noise, T* x, Count count,
                                         T a) {
  return chunked_sum<T>(
      count, [=](Count begin, int i) __attribute__((always_inline)) {
        const UnitPair<T> s = squeeze(v[begin + i], noise[begin + i], a);
        x[begin + i] = simd::log(s.below / s.above);
        return log_slope_of(s, a);
      });
}

template <class T>
RELGRAD_INLINE double logit_log_slope_body(const std::uint8_t* v, const T* noise, Count count,
                                           T a) {
  return chunked_sum<T>(
      count, [=](Count begin, int i) __attribute__((always_inline)) {
        return log_slope_of(squeeze(v[begin + i], noise[begin + i], a), a);
      });
}

// x = Phi^{-1}(F), F(v + u) = lower_v + mass_v u, from the nearer side; with phi the normal density
//   log dx/dv = log mass_v - log phi(x) = log mass_v + x^2 / 2 + log(2 pi) / 2
template <class T>
RELGRAD_INLINE double marginal_forward_body(const std::uint8_t* v, const T* noise, const T* table,
                                            T* x, Count count) {
  constexpr T half_log_two_pi = T(0.91893853320467274178);
  alignas(64) T entries[sum_chunk * marginal_entry_size];  // of this chunk's levels, side by side
  double total = 0.0;
  for (Count begin = 0; begin < count; begin += sum_chunk) {
    const Count size = std::min(sum_chunk, count - begin);
    for (Count i = 0; i < size; ++i) {
      const T* entry = table + (begin + i) * marginal_stride + v[begin + i] * marginal_entry_size;
      for (int j = 0; j < marginal_entry_size; ++j) entries[i * marginal_entry_size + j] = entry[j];
    }
    T sum = 0;
#pragma omp simd reduction(+ : sum)
    for (Count i = 0; i < size; ++i) {
      const T* entry = entries + i * marginal_entry_size;
      const T u = noise[begin + i];
      const T below = entry[0] + entry[2] * u;
      const T above = entry[1] + entry[2] * (T(1) - u);
      const T magnitude = normal_quantile_magnitude(simd::smaller(below, above));
      x[begin + i] = below < above ? -magnitude : magnitude;
      sum += entry[3] + (T(0.5) * magnitude * magnitude + half_log_two_pi);
    }
    total += static_cast<double>(sum);
  }
  return total;
}

template <class T>
RELGRAD_INLINE void standardize_forward_body(const std::uint8_t* v, const T* noise, const T* mean,
                                             const T* inverse_deviation, T* x, Count count) {
#pragma omp simd
  for (Count i = 0; i < count; ++i) {
    const T level = static_cast<T>(static_cast<int>(v[i]));
    x[i] = ((level - mean[i]) + noise[i]) * inverse_deviation[i];
  }
}

}  // namespace

#define RELGRAD_DEFINE_TRANSFORM(T)                                                              \
  RELGRAD_SIMD_CLONES double logit_forward(const std::uint8_t* v, const T* noise, T* x,          \
                                           Count count, T a) {                                   \
    return logit_forward_body<T>(v, noise, x, count, a);                                         \
  }                                                                                              \
  RELGRAD_SIMD_CLONES double logit_log_slope(const std::uint8_t* v, const T* noise, Count count, \
                                             T a) {                                              \
    return logit_log_slope_body<T>(v, noise, count, a);                                          \
  }                                                                                              \
  RELGRAD_SIMD_CLONES double marginal_forward(const std::uint8_t* v, const T* noise,             \
                                              const T* table, T* x, Count count) {               \
    return marginal_forward_body<T>(v, noise, table, x, count);                                  \
  }                                                                                              \
  RELGRAD_SIMD_CLONES void standardize_forward(const std::uint8_t* v, const T* noise,            \
                                               const T* mean, const T* inverse_deviation, T* x,  \
                                               Count count) {                                    \
    standardize_forward_body<T>(v, noise, mean, inverse_deviation, x, count);                    \
  }
RELGRAD_DEFINE_TRANSFORM(float)
RELGRAD_DEFINE_TRANSFORM(double)
#undef RELGRAD_DEFINE_TRANSFORM

}  // namespace relgrad::kernels
