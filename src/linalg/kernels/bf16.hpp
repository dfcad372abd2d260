#pragma once
/// bf16: the upper half of a float32, 8 bits of mantissa.
#include <cstddef>

namespace relgrad::kernels {

/// to[i] = from[i] rounded to bf16, to nearest, ties to even; NaN stays NaN, what exceeds the
/// largest bf16 number becomes infinite.
void round_to_bf16(const float* from, std::size_t count, float* to);

}  // namespace relgrad::kernels
