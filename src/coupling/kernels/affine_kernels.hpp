#pragma once
/// The affine map of one sample's second half: y = s x + t with log s = 2 tanh(h / 2). The net's
/// output holds h and t of each of the `channels` planes in turn: h_0, t_0, h_1, t_1, ...
#include <cstddef>

namespace relgrad::kernels {

using Count = std::ptrdiff_t;

#define RELGRAD_DECLARE_AFFINE(T)                                                             \
  /* returns the sum of log s, nats */                                                        \
  double affine_forward(const T* net, const T* x, T* y, Count channels, Count plane);         \
  void affine_inverse(const T* net, const T* y, T* x, Count channels, Count plane);           \
  /* from delta_y = dL/dy to derivatives of L + sum log s; delta_x may be delta_y's memory */ \
  void affine_backward(const T* net, const T* x, const T* delta_y, T* delta_x, T* delta_net,  \
                       Count channels, Count plane);
RELGRAD_DECLARE_AFFINE(float)
RELGRAD_DECLARE_AFFINE(double)
#undef RELGRAD_DECLARE_AFFINE

}  // namespace relgrad::kernels
