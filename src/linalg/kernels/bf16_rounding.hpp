#pragma once
/// A float32 number to bf16, its upper half, for inner loops.
#include <bit>
#include <cstdint>

#include "core/simd_math.hpp"

namespace relgrad::kernels {

/// x rounded to bf16, to nearest, ties to even, as the bits of a float32: half a unit of the last
/// place that stays, less one if that place is even, and a carry does the rest. A NaN keeps its
/// sign and becomes quiet.
RELGRAD_INLINE std::uint32_t bf16_bits(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t nearest = bits + 0x7FFFU + ((bits >> 16U) & 1U);
  const bool is_nan = (bits & 0x7FFFFFFFU) > 0x7F800000U;
  return (is_nan ? (bits | 0x00400000U) : nearest) & 0xFFFF0000U;
}

}  // namespace relgrad::kernels
