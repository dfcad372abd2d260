#include "linalg/kernels/bf16.hpp"

#include <bit>

#include "relgrad/core/simd_math.hpp"

namespace relgrad::kernels {

namespace {

/// Half a unit of the last place that stays, less one if that place is even, and a carry does the
/// rest. A NaN keeps its sign and becomes quiet.
RELGRAD_INLINE std::uint32_t rounded(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t nearest = bits + 0x7FFFU + ((bits >> 16U) & 1U);
  const bool is_nan = (bits & 0x7FFFFFFFU) > 0x7F800000U;
  return (is_nan ? (bits | 0x00400000U) : nearest) & 0xFFFF0000U;
}

}  // namespace

RELGRAD_SIMD_CLONES void round_to_bf16(const float* from, std::size_t count, float* to) {
#pragma omp simd
  for (std::size_t i = 0; i < count; ++i) to[i] = std::bit_cast<float>(rounded(from[i]));
}

RELGRAD_SIMD_CLONES void convert_to_bf16(const float* from, std::size_t count, std::uint16_t* to) {
#pragma omp simd
  for (std::size_t i = 0; i < count; ++i)
    to[i] = static_cast<std::uint16_t>(rounded(from[i]) >> 16U);
}

}  // namespace relgrad::kernels
