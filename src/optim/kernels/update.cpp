#include "optim/kernels/update.hpp"

#include <omp.h>

#include <algorithm>
#include <cmath>

#include "core/simd_math.hpp"

namespace relgrad::kernels {

namespace {

/// Calls visit(i, g) for every element. The numbers are copied out of the struct, so that the
/// compiler knows that no store changes them, and the rare matrix term has a loop of its own.
template <class T, class Visit>
RELGRAD_INLINE void for_each_gradient(const UpdateLoop<T>& loop, const Visit& visit) {
  const T* const sum = loop.gradient_sum;
  const T* const matrix = loop.matrix;
  const T* const w = loop.w;
  const T inverse_samples = loop.inverse_samples;
  const T value_factor = loop.value_factor;
  const T matrix_factor = loop.matrix_factor;
  const std::size_t size = loop.size;
  if (matrix == nullptr) {
#pragma omp simd
    for (std::size_t i = 0; i < size; ++i) {
      visit(i, sum[i] * inverse_samples + value_factor * w[i]);
    }
  } else {
#pragma omp simd
    for (std::size_t i = 0; i < size; ++i) {
      visit(i, sum[i] * inverse_samples + value_factor * w[i] + matrix_factor * matrix[i]);
    }
  }
}

template <class T>
RELGRAD_INLINE void sgd(const UpdateLoop<T>& loop) {
  T* const w = loop.w;
  const T lr = loop.lr;
  const T decay = loop.decay;
  for_each_gradient(loop, [=](std::size_t i, T g) { w[i] += lr * g - decay * w[i]; });
}

template <class T>
RELGRAD_INLINE void scaled(const UpdateLoop<T>& loop, const T* row_factor, std::size_t rows) {
  const T lr = loop.lr;
  const T decay = loop.decay;
  const T inverse_samples = loop.inverse_samples;
  const T value_factor = loop.value_factor;
  for (std::size_t begin = 0; begin < loop.size; begin += rows) {
    T* const w = loop.w + begin;
    const T* const sum = loop.gradient_sum + begin;
#pragma omp simd
    for (std::size_t i = 0; i < rows; ++i) {
      const T g = sum[i] * inverse_samples + value_factor * row_factor[i] * w[i];
      w[i] += lr * g - decay * w[i];
    }
  }
}

template <class T>
RELGRAD_INLINE void momentum_update(const UpdateLoop<T>& loop, T* velocity, T momentum) {
  T* const w = loop.w;
  const T lr = loop.lr;
  const T decay = loop.decay;
  for_each_gradient(loop, [=](std::size_t i, T g) {
    velocity[i] = momentum * velocity[i] + g;
    w[i] += lr * velocity[i] - decay * w[i];
  });
}

template <class T>
struct AdamNumbers {
  T beta1, beta2, epsilon, correction1, correction2;
};

template <class T>
RELGRAD_INLINE void adam(const UpdateLoop<T>& loop, T* m, T* v, const AdamNumbers<T>& numbers) {
  T* const w = loop.w;
  const AdamNumbers<T> n = numbers;
  const T step = loop.lr * n.correction1;
  const T decay = loop.decay;
  for_each_gradient(loop, [=](std::size_t i, T g) {
    const T first = n.beta1 * m[i] + (T{1} - n.beta1) * g;
    const T second = n.beta2 * v[i] + (T{1} - n.beta2) * g * g;
    m[i] = first;
    v[i] = second;
    w[i] += step * first / (std::sqrt(second) * n.correction2 + n.epsilon) - decay * w[i];
  });
}

/// Calls work(begin, part) for parts of a tile, one a thread: moments begin at `begin`.
template <class T, class Work>
void for_each_part(const UpdateLoop<T>& loop, const Work& work) {
  constexpr std::size_t worth_a_thread = std::size_t{1} << 14U;
  constexpr std::size_t line = 16;  // numbers; parts begin on one where the tile does
  const auto threads =
      std::min(static_cast<std::size_t>(omp_get_max_threads()), loop.size / worth_a_thread + 1);
  if (threads == 1) return work(std::size_t{0}, loop);
  const std::size_t size = (loop.size / threads + line) / line * line;
#pragma omp parallel for schedule(static) num_threads(static_cast <int>(threads))
  for (std::size_t begin = 0; begin < loop.size; begin += size) {
    UpdateLoop<T> part = loop;
    part.size = std::min(size, loop.size - begin);
    part.w += begin;
    part.gradient_sum += begin;
    part.matrix += part.matrix == nullptr ? 0 : begin;
    work(begin, part);
  }
}

}  // namespace

// One clone per instruction set and type; templates cannot be cloned, so each is spelled out.
#define RELGRAD_UPDATES(T)                                                               \
  RELGRAD_SIMD_CLONES static void sgd_##T(const UpdateLoop<T>& loop) { sgd(loop); }      \
  RELGRAD_SIMD_CLONES static void momentum_##T(const UpdateLoop<T>& loop, T* velocity,   \
                                               T momentum) {                             \
    momentum_update(loop, velocity, momentum);                                           \
  }                                                                                      \
  RELGRAD_SIMD_CLONES static void adam_##T(const UpdateLoop<T>& loop, T* m, T* v,        \
                                           const AdamNumbers<T>& n) {                    \
    adam(loop, m, v, n);                                                                 \
  }                                                                                      \
  template <>                                                                            \
  void update_sgd(const UpdateLoop<T>& loop) {                                           \
    for_each_part(loop, [](std::size_t, const UpdateLoop<T>& part) { sgd_##T(part); });  \
  }                                                                                      \
  RELGRAD_SIMD_CLONES static void scaled_##T(const UpdateLoop<T>& loop, const T* f,      \
                                             std::size_t r) {                            \
    scaled(loop, f, r);                                                                  \
  }                                                                                      \
  template <>                                                                            \
  void update_scaled(const UpdateLoop<T>& loop, const T* row_factor, std::size_t rows) { \
    scaled_##T(loop, row_factor, rows);                                                  \
  }                                                                                      \
  template <>                                                                            \
  void update_momentum(const UpdateLoop<T>& loop, T* velocity, T momentum) {             \
    for_each_part(loop, [=](std::size_t begin, const UpdateLoop<T>& part) {              \
      momentum_##T(part, velocity + begin, momentum);                                    \
    });                                                                                  \
  }                                                                                      \
  template <>                                                                            \
  void update_adam(const UpdateLoop<T>& loop, T* m, T* v, T beta1, T beta2, T epsilon,   \
                   T correction1, T correction2) {                                       \
    const AdamNumbers<T> numbers{beta1, beta2, epsilon, correction1, correction2};       \
    for_each_part(loop, [=](std::size_t begin, const UpdateLoop<T>& part) {              \
      adam_##T(part, m + begin, v + begin, numbers);                                     \
    });                                                                                  \
  }

RELGRAD_UPDATES(float)
RELGRAD_UPDATES(double)

}  // namespace relgrad::kernels
