#include "coupling/kernels/actnorm_kernels.hpp"

#include "core/simd_math.hpp"

namespace relgrad::kernels {

namespace {

template <class T>
RELGRAD_INLINE void scale_and_add_body(const T* x, T* y, T scale, T offset, Count count) {
#pragma omp simd
  for (Count i = 0; i < count; ++i) y[i] = scale * x[i] + offset;
}

template <class T>
RELGRAD_INLINE void actnorm_backward_body(const T* y, const T* delta, T* delta_x, T scale,
                                          Count count, T* product, T* sum) {
  T products = 0;
  T deltas = 0;
#pragma omp simd reduction(+ : products, deltas)
  for (Count i = 0; i < count; ++i) {
    const T d = delta[i];
    products += y[i] * d;
    deltas += d;
    delta_x[i] = scale * d;
  }
  *product = products;
  *sum = deltas;
}

}  // namespace

#define RELGRAD_DEFINE_ACTNORM(T)                                                            \
  RELGRAD_SIMD_CLONES void scale_and_add(const T* x, T* y, T scale, T offset, Count count) { \
    scale_and_add_body(x, y, scale, offset, count);                                          \
  }                                                                                          \
  RELGRAD_SIMD_CLONES void actnorm_backward(const T* y, const T* delta, T* delta_x, T scale, \
                                            Count count, T* product, T* sum) {               \
    actnorm_backward_body(y, delta, delta_x, scale, count, product, sum);                    \
  }
RELGRAD_DEFINE_ACTNORM(float)
RELGRAD_DEFINE_ACTNORM(double)
#undef RELGRAD_DEFINE_ACTNORM

}  // namespace relgrad::kernels
