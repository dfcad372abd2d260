#pragma once
/// The hot loops of activations and latent densities over `count` contiguous numbers; float and
/// double.
#include <cstddef>

namespace relgrad::kernels {

using Count = std::ptrdiff_t;

// Forward kernels and densities return their sum of log-slopes or log-densities, in nats. Outputs
// may be the same memory as inputs.

#define RELGRAD_DECLARE_ELEMENTWISE(T)                                                        \
  double smooth_leaky_relu_forward(const T* y, T* out, Count count, T slope);                 \
  void smooth_leaky_relu_backward(const T* y, const T* delta_out, T* delta_in, Count count,   \
                                  T slope);                                                   \
  double leaky_tanh_forward(const T* y, T* out, Count count, T scale, T slope);               \
  void leaky_tanh_backward(const T* y, const T* delta_out, T* delta_in, Count count, T scale, \
                           T slope);                                                          \
  double normal_log_density(const T* z, Count count);                                         \
  double logistic_log_density(const T* z, Count count);                                       \
  double hyperbolic_secant_log_density(const T* z, Count count);                              \
  double laplace_log_density(const T* z, Count count);                                        \
  void normal_score(const T* z, T* delta, Count count);                                       \
  void logistic_score(const T* z, T* delta, Count count);                                     \
  void hyperbolic_secant_score(const T* z, T* delta, Count count);                            \
  void laplace_score(const T* z, T* delta, Count count);
RELGRAD_DECLARE_ELEMENTWISE(float)
RELGRAD_DECLARE_ELEMENTWISE(double)
#undef RELGRAD_DECLARE_ELEMENTWISE

}  // namespace relgrad::kernels
