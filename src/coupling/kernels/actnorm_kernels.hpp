#pragma once
/// The loops of actnorm over one plane.
#include <cstddef>

namespace relgrad::kernels {

using Count = std::ptrdiff_t;

#define RELGRAD_DECLARE_ACTNORM(T)                                                                \
  /* y = scale x + offset; y may be x */                                                          \
  void scale_and_add(const T* x, T* y, T scale, T offset, Count count);                           \
  /* *product = sum of y delta, *sum = sum of delta; then delta_x = scale delta */                \
  void actnorm_backward(const T* y, const T* delta, T* delta_x, T scale, Count count, T* product, \
                        T* sum);
RELGRAD_DECLARE_ACTNORM(float)
RELGRAD_DECLARE_ACTNORM(double)
#undef RELGRAD_DECLARE_ACTNORM

}  // namespace relgrad::kernels
