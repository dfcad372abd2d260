#include "optim/kernels/update.hpp"

#include <cmath>

#include "relgrad/core/simd_math.hpp"

namespace relgrad::kernels {

namespace {

template <class T>
RELGRAD_INLINE T gradient_at(const UpdateLoop<T>& loop, std::size_t i) {
  T g = loop.gradient_sum[i] * loop.inverse_samples + loop.value_factor * loop.w[i];
  if (loop.matrix != nullptr) g += loop.matrix[i];
  return g;
}

template <class T>
RELGRAD_INLINE void sgd(const UpdateLoop<T>& loop) {
#pragma omp simd
  for (std::size_t i = 0; i < loop.size; ++i) {
    loop.w[i] += loop.lr * gradient_at(loop, i) - loop.decay * loop.w[i];
  }
}

template <class T>
RELGRAD_INLINE void momentum_update(const UpdateLoop<T>& loop, T* velocity, T momentum) {
#pragma omp simd
  for (std::size_t i = 0; i < loop.size; ++i) {
    velocity[i] = momentum * velocity[i] + gradient_at(loop, i);
    loop.w[i] += loop.lr * velocity[i] - loop.decay * loop.w[i];
  }
}

template <class T>
struct AdamNumbers {
  T beta1, beta2, epsilon, correction1, correction2;
};

template <class T>
RELGRAD_INLINE void adam(const UpdateLoop<T>& loop, T* m, T* v, const AdamNumbers<T>& n) {
  const T step = loop.lr * n.correction1;
#pragma omp simd
  for (std::size_t i = 0; i < loop.size; ++i) {
    const T g = gradient_at(loop, i);
    m[i] = n.beta1 * m[i] + (T{1} - n.beta1) * g;
    v[i] = n.beta2 * v[i] + (T{1} - n.beta2) * g * g;
    loop.w[i] +=
        step * m[i] / (std::sqrt(v[i]) * n.correction2 + n.epsilon) - loop.decay * loop.w[i];
  }
}

}  // namespace

// One clone per instruction set and type; templates cannot be cloned, so each is spelled out.
#define RELGRAD_UPDATES(T)                                                             \
  RELGRAD_SIMD_CLONES static void sgd_##T(const UpdateLoop<T>& loop) { sgd(loop); }    \
  RELGRAD_SIMD_CLONES static void momentum_##T(const UpdateLoop<T>& loop, T* velocity, \
                                               T momentum) {                           \
    momentum_update(loop, velocity, momentum);                                         \
  }                                                                                    \
  RELGRAD_SIMD_CLONES static void adam_##T(const UpdateLoop<T>& loop, T* m, T* v,      \
                                           const AdamNumbers<T>& n) {                  \
    adam(loop, m, v, n);                                                               \
  }                                                                                    \
  template <>                                                                          \
  void update_sgd(const UpdateLoop<T>& loop) {                                         \
    sgd_##T(loop);                                                                     \
  }                                                                                    \
  template <>                                                                          \
  void update_momentum(const UpdateLoop<T>& loop, T* velocity, T momentum) {           \
    momentum_##T(loop, velocity, momentum);                                            \
  }                                                                                    \
  template <>                                                                          \
  void update_adam(const UpdateLoop<T>& loop, T* m, T* v, T beta1, T beta2, T epsilon, \
                   T correction1, T correction2) {                                     \
    adam_##T(loop, m, v, {beta1, beta2, epsilon, correction1, correction2});           \
  }

RELGRAD_UPDATES(float)
RELGRAD_UPDATES(double)

}  // namespace relgrad::kernels
