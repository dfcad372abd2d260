#include "linalg/kernels/bf16.hpp"

#include "linalg/kernels/bf16_rounding.hpp"

namespace relgrad::kernels {

RELGRAD_SIMD_CLONES void round_to_bf16(const float* from, std::size_t count, float* to) {
#pragma omp simd
  for (std::size_t i = 0; i < count; ++i) to[i] = std::bit_cast<float>(bf16_bits(from[i]));
}

}  // namespace relgrad::kernels
