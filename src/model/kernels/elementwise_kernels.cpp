#include "model/kernels/elementwise_kernels.hpp"

#include <algorithm>
#include <numbers>

#include "core/simd_math.hpp"

namespace relgrad::kernels {

namespace {

// Sums run in T over this many numbers, then in double: float's rounding stays near 1e-6 relative.
constexpr Count sum_chunk = 256;

/// sum of term(i) over [0, count); a term may also write outputs number i.
template <class T, class Term>
RELGRAD_INLINE double chunked_sum(Count count, Term term) {
  double total = 0.0;
  for (Count begin = 0; begin < count; begin += sum_chunk) {
    const Count end = std::min(count, begin + sum_chunk);
    T sum = 0;
#pragma omp simd reduction(+ : sum)
    for (Count i = begin; i < end; ++i) sum += term(i);
    total += static_cast<double>(sum);
  }
  return total;
}

template <class T, class Body>
RELGRAD_INLINE void for_each(Count count, Body body) {
#pragma omp simd
  for (Count i = 0; i < count; ++i) body(i);
}

// With e = e^{-|y|}:  sigmoid(y) = (1 or e) / (1 + e),  log(1 + e^y) = max(y, 0) + log(1 + e).
template <class T>
RELGRAD_INLINE double smooth_leaky_relu_forward_body(const T* y, T* out, Count count, T a) {
  return chunked_sum<T>(
      count, [=](Count i) __attribute__((always_inline)) {
        const T e = simd::exp(-simd::absolute(y[i]));
        const T sigmoid = (y[i] < T(0) ? e : T(1)) / (T(1) + e);
        out[i] = a * y[i] + (T(1) - a) * (simd::larger(y[i], T(0)) + simd::log1p(e));
        return simd::log(a + (T(1) - a) * sigmoid);
      });
}

// s' = a + (1 - a) sigmoid(y),  (log s')' = (1 - a) sigmoid(y) sigmoid(-y) / s'
template <class T>
RELGRAD_INLINE void smooth_leaky_relu_backward_body(const T* y, const T* delta_out, T* delta_in,
                                                    Count count, T a) {
  for_each<T>(
      count, [=](Count i) __attribute__((always_inline)) {
        const T e = simd::exp(-simd::absolute(y[i]));
        const T inverse = T(1) / (T(1) + e);
        const T slope = a + (T(1) - a) * (y[i] < T(0) ? e : T(1)) * inverse;
        delta_in[i] = delta_out[i] * slope + (T(1) - a) * e * inverse * inverse / slope;
      });
}

template <class T>
struct TanhParts {
  T tanh;
  T sech_squared;
};

// With e = e^{-2|u|}:  tanh|u| = (1 - e) / (1 + e),  sech^2 u = 4 e / (1 + e)^2
template <class T>
RELGRAD_INLINE TanhParts<T> tanh_parts(T u) {
  const auto e = simd::exp_and_expm1(T(-2) * simd::absolute(u));
  const T inverse = T(1) / (T(1) + e.exp);
  const T magnitude = -e.expm1 * inverse;
  return {u < T(0) ? -magnitude : magnitude, T(4) * e.exp * inverse * inverse};
}

template <class T>
RELGRAD_INLINE double leaky_tanh_forward_body(const T* y, T* out, Count count, T a, T c) {
  return chunked_sum<T>(
      count, [=](Count i) __attribute__((always_inline)) {
        const TanhParts<T> parts = tanh_parts(a * y[i]);
        out[i] = parts.tanh + c * y[i];
        return simd::log(a * parts.sech_squared + c);
      });
}

// s' = a sech^2(a y) + c,  (log s')' = -2 a^2 tanh(a y) sech^2(a y) / s'
template <class T>
RELGRAD_INLINE void leaky_tanh_backward_body(const T* y, const T* delta_out, T* delta_in,
                                             Count count, T a, T c) {
  for_each<T>(
      count, [=](Count i) __attribute__((always_inline)) {
        const TanhParts<T> parts = tanh_parts(a * y[i]);
        const T slope = a * parts.sech_squared + c;
        delta_in[i] = delta_out[i] * slope - T(2) * a * a * parts.tanh * parts.sech_squared / slope;
      });
}

constexpr double half_log_two_pi = 0.91893853320467274178;

template <class T>
RELGRAD_INLINE double normal_log_density_body(const T* z, Count count) {
  const double squares = chunked_sum<T>(
      count, [=](Count i) __attribute__((always_inline)) { return z[i] * z[i]; });
  return -0.5 * squares - half_log_two_pi * static_cast<double>(count);
}

// log p = -|z| - 2 log(1 + e^{-|z|}), for the density is even.
template <class T>
RELGRAD_INLINE double logistic_log_density_body(const T* z, Count count) {
  return chunked_sum<T>(
      count, [=](Count i) __attribute__((always_inline)) {
        const T magnitude = simd::absolute(z[i]);
        return -magnitude - T(2) * simd::log1p(simd::exp(-magnitude));
      });
}

// With u = pi |z| / 2:  log sech u - log 2 = -u - log(1 + e^{-2u})
template <class T>
RELGRAD_INLINE double hyperbolic_secant_log_density_body(const T* z, Count count) {
  return chunked_sum<T>(
      count, [=](Count i) __attribute__((always_inline)) {
        const T u = T(std::numbers::pi / 2) * simd::absolute(z[i]);
        return -u - simd::log1p(simd::exp(T(-2) * u));
      });
}

template <class T>
RELGRAD_INLINE double laplace_log_density_body(const T* z, Count count) {
  const double magnitudes = chunked_sum<T>(
      count, [=](Count i) __attribute__((always_inline)) { return simd::absolute(z[i]); });
  return -magnitudes - std::numbers::ln2 * static_cast<double>(count);
}

template <class T>
RELGRAD_INLINE void normal_score_body(const T* z, T* delta, Count count) {
  for_each<T>(
      count, [=](Count i) __attribute__((always_inline)) { delta[i] = -z[i]; });
}

template <class T>
RELGRAD_INLINE void logistic_score_body(const T* z, T* delta, Count count) {
  for_each<T>(
      count, [=](Count i)
                 __attribute__((always_inline)) { delta[i] = -tanh_parts(T(0.5) * z[i]).tanh; });
}

template <class T>
RELGRAD_INLINE void hyperbolic_secant_score_body(const T* z, T* delta, Count count) {
  constexpr T half_pi = T(std::numbers::pi / 2);
  for_each<T>(
      count, [=](Count i) __attribute__((always_inline)) {
        delta[i] = -half_pi * tanh_parts(half_pi * z[i]).tanh;
      });
}

template <class T>
RELGRAD_INLINE void laplace_score_body(const T* z, T* delta, Count count) {
  for_each<T>(
      count, [=](Count i) __attribute__((always_inline)) {
        delta[i] = z[i] > T(0) ? T(-1) : (z[i] < T(0) ? T(1) : T(0));
      });
}

}  // namespace

// Clones cannot be templates: one plain function per type around the same body.
#define RELGRAD_DEFINE_ELEMENTWISE(T)                                                              \
  RELGRAD_SIMD_CLONES double smooth_leaky_relu_forward(const T* y, T* out, Count count, T slope) { \
    return smooth_leaky_relu_forward_body<T>(y, out, count, slope);                                \
  }                                                                                                \
  RELGRAD_SIMD_CLONES void smooth_leaky_relu_backward(const T* y, const T* delta_out, T* delta_in, \
                                                      Count count, T slope) {                      \
    smooth_leaky_relu_backward_body<T>(y, delta_out, delta_in, count, slope);                      \
  }                                                                                                \
  RELGRAD_SIMD_CLONES double leaky_tanh_forward(const T* y, T* out, Count count, T scale,          \
                                                T slope) {                                         \
    return leaky_tanh_forward_body<T>(y, out, count, scale, slope);                                \
  }                                                                                                \
  RELGRAD_SIMD_CLONES void leaky_tanh_backward(const T* y, const T* delta_out, T* delta_in,        \
                                               Count count, T scale, T slope) {                    \
    leaky_tanh_backward_body<T>(y, delta_out, delta_in, count, scale, slope);                      \
  }                                                                                                \
  RELGRAD_SIMD_CLONES double normal_log_density(const T* z, Count count) {                         \
    return normal_log_density_body<T>(z, count);                                                   \
  }                                                                                                \
  RELGRAD_SIMD_CLONES double logistic_log_density(const T* z, Count count) {                       \
    return logistic_log_density_body<T>(z, count);                                                 \
  }                                                                                                \
  RELGRAD_SIMD_CLONES double hyperbolic_secant_log_density(const T* z, Count count) {              \
    return hyperbolic_secant_log_density_body<T>(z, count);                                        \
  }                                                                                                \
  RELGRAD_SIMD_CLONES double laplace_log_density(const T* z, Count count) {                        \
    return laplace_log_density_body<T>(z, count);                                                  \
  }                                                                                                \
  RELGRAD_SIMD_CLONES void normal_score(const T* z, T* delta, Count count) {                       \
    normal_score_body<T>(z, delta, count);                                                         \
  }                                                                                                \
  RELGRAD_SIMD_CLONES void logistic_score(const T* z, T* delta, Count count) {                     \
    logistic_score_body<T>(z, delta, count);                                                       \
  }                                                                                                \
  RELGRAD_SIMD_CLONES void hyperbolic_secant_score(const T* z, T* delta, Count count) {            \
    hyperbolic_secant_score_body<T>(z, delta, count);                                              \
  }                                                                                                \
  RELGRAD_SIMD_CLONES void laplace_score(const T* z, T* delta, Count count) {                      \
    laplace_score_body<T>(z, delta, count);                                                        \
  }
RELGRAD_DEFINE_ELEMENTWISE(float)
RELGRAD_DEFINE_ELEMENTWISE(double)
#undef RELGRAD_DEFINE_ELEMENTWISE

}  // namespace relgrad::kernels
