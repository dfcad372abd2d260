#pragma once
/// The optimizers' inner loops on raw pointers: one pass over a tile, vectorised.
#include <cstddef>

namespace relgrad::kernels {

/// What all updates share.
/// g = gradient_sum * inverse_samples + value_factor * w + matrix_factor * matrix;
/// w += lr * direction - decay * w (decay = lr * weight_decay, or 0).
template <class T>
struct UpdateLoop {
  std::size_t size;
  T* w;
  const T* gradient_sum;
  const T* matrix;  // or null
  T matrix_factor;
  T inverse_samples;
  T value_factor;
  T lr;
  T decay;
};

/// direction = g
template <class T>
void update_sgd(const UpdateLoop<T>& loop);
/// direction = g with value_factor * row_factor[i] in the place of value_factor, i the element's
/// row of a column of `rows`; size is a multiple of rows
template <class T>
void update_scaled(const UpdateLoop<T>& loop, const T* row_factor, std::size_t rows);
/// velocity = momentum * velocity + g;  direction = velocity
template <class T>
void update_momentum(const UpdateLoop<T>& loop, T* velocity, T momentum);
/// m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2,
/// direction = (m correction1) / (sqrt(v) correction2 + epsilon), correction1 = 1 / (1 - b1^t),
/// correction2 = 1 / sqrt(1 - b2^t)                              (Kingma and Ba 2015, algorithm 1)
template <class T>
void update_adam(const UpdateLoop<T>& loop, T* m, T* v, T beta1, T beta2, T epsilon, T correction1,
                 T correction2);

}  // namespace relgrad::kernels
