#include "coupling/kernels/affine_kernels.hpp"

#include <algorithm>

#include "core/simd_math.hpp"

namespace relgrad::kernels {

namespace {

// Sums run in T over this many numbers, then in double.
constexpr Count sum_chunk = 256;

/// 2 tanh(h / 2) = +-2 (1 - e) / (1 + e) with e = e^{-|h|}
template <class T>
RELGRAD_INLINE T log_scale(T h) {
  const auto e = simd::exp_and_expm1(-simd::absolute(h));
  const T size = T(-2) * e.expm1 / (T(1) + e.exp);
  return h < T(0) ? -size : size;
}

template <class T>
RELGRAD_INLINE double affine_forward_body(const T* net, const T* x, T* y, Count channels,
                                          Count plane) {
  double total = 0.0;
  for (Count c = 0; c < channels; ++c, net += 2 * plane, x += plane, y += plane) {
    for (Count begin = 0; begin < plane; begin += sum_chunk) {
      const Count end = std::min(plane, begin + sum_chunk);
      T sum = 0;
#pragma omp simd reduction(+ : sum)
      for (Count p = begin; p < end; ++p) {
        const T log_s = log_scale(net[p]);
        y[p] = simd::exp(log_s) * x[p] + net[plane + p];
        sum += log_s;
      }
      total += static_cast<double>(sum);
    }
  }
  return total;
}

template <class T>
RELGRAD_INLINE void affine_inverse_body(const T* net, const T* y, T* x, Count channels,
                                        Count plane) {
  for (Count c = 0; c < channels; ++c, net += 2 * plane, x += plane, y += plane) {
#pragma omp simd
    for (Count p = 0; p < plane; ++p) {
      x[p] = simd::exp(-log_scale(net[p])) * (y[p] - net[plane + p]);
    }
  }
}

// dL/dt = dy,  dL/d log s = dy s x + 1,  d log s / dh = 1 - tanh^2(h / 2)
template <class T>
RELGRAD_INLINE void affine_backward_body(const T* net, const T* x, const T* delta_y, T* delta_x,
                                         T* delta_net, Count channels, Count plane) {
  for (Count c = 0; c < channels; ++c) {
#pragma omp simd
    for (Count p = 0; p < plane; ++p) {
      const T log_s = log_scale(net[p]);
      const T delta = delta_y[p];
      const T scaled = delta * simd::exp(log_s);
      delta_net[p] = (scaled * x[p] + T(1)) * (T(1) - T(0.25) * log_s * log_s);
      delta_net[plane + p] = delta;
      delta_x[p] = scaled;
    }
    net += 2 * plane;
    delta_net += 2 * plane;
    x += plane;
    delta_y += plane;
    delta_x += plane;
  }
}

}  // namespace

#define RELGRAD_DEFINE_AFFINE(T)                                                                   \
  RELGRAD_SIMD_CLONES double affine_forward(const T* net, const T* x, T* y, Count channels,        \
                                            Count plane) {                                         \
    return affine_forward_body(net, x, y, channels, plane);                                        \
  }                                                                                                \
  RELGRAD_SIMD_CLONES void affine_inverse(const T* net, const T* y, T* x, Count channels,          \
                                          Count plane) {                                           \
    affine_inverse_body(net, y, x, channels, plane);                                               \
  }                                                                                                \
  RELGRAD_SIMD_CLONES void affine_backward(const T* net, const T* x, const T* delta_y, T* delta_x, \
                                           T* delta_net, Count channels, Count plane) {            \
    affine_backward_body(net, x, delta_y, delta_x, delta_net, channels, plane);                    \
  }
RELGRAD_DEFINE_AFFINE(float)
RELGRAD_DEFINE_AFFINE(double)
#undef RELGRAD_DEFINE_AFFINE

}  // namespace relgrad::kernels
