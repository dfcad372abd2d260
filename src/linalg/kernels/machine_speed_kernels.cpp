#include "linalg/kernels/machine_speed_kernels.hpp"

#include "core/simd_math.hpp"

namespace relgrad::kernels {

namespace {

/// Two fused multiply-adds a cycle of latency four need eight chains; four more for slack.
constexpr int chains = 12;

struct Bits128 {
  using Vector __attribute__((vector_size(16))) = float;
};
struct Bits256 {
  using Vector __attribute__((vector_size(32))) = float;
};
struct Bits512 {
  using Vector __attribute__((vector_size(64))) = float;
};

template <class Width>
RELGRAD_INLINE double multiply_adds_of(long rounds, float* sink) {
  using Vector = typename Width::Vector;
  Vector sum[chains];
  Vector factor = {};
  Vector term = {};
  factor += 0.999F;
  term += 1e-6F;
#pragma GCC unroll 12
  for (int j = 0; j < chains; ++j) sum[j] = term * static_cast<float>(j);
  for (long i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < chains; ++j) sum[j] = sum[j] * factor + term;
  }
  Vector total = {};
#pragma GCC unroll 12
  for (int j = 0; j < chains; ++j) total += sum[j];
  *sink = total[0];
  return 2.0 * chains * static_cast<double>(sizeof(Vector) / sizeof(float)) *
         static_cast<double>(rounds);
}

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("avx2,fma")
double multiply_adds_256(long rounds, float* sink) {
  return multiply_adds_of<Bits256>(rounds, sink);
}
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx2,fma,prefer-vector-width=512")
double multiply_adds_512(long rounds, float* sink) {
  return multiply_adds_of<Bits512>(rounds, sink);
}
#pragma GCC pop_options
#endif

}  // namespace

double multiply_adds(long rounds, float* sink) {
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
  if (__builtin_cpu_supports("avx512f") != 0) return multiply_adds_512(rounds, sink);
  if (__builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0) {
    return multiply_adds_256(rounds, sink);
  }
#endif
  return multiply_adds_of<Bits128>(rounds, sink);
}

RELGRAD_SIMD_CLONES void stream(float* w, float* m, float* v, std::size_t count) {
#pragma omp simd
  for (std::size_t i = 0; i < count; ++i) {
    w[i] += m[i];
    m[i] *= 0.99F;
    v[i] *= 0.99F;
  }
}

}  // namespace relgrad::kernels
