#pragma once
/// The inner loops of linalg/machine_speed.
#include <cstddef>

namespace relgrad::kernels {

/// `rounds` rounds of fused multiply-adds on as many registers as hide their latency, with the
/// widest vectors the CPU has. Returns the flops done; `sink` takes what they come to.
double multiply_adds(long rounds, float* sink);
/// w += m, m *= 0.99, v *= 0.99: 24 bytes an element.
void stream(float* w, float* m, float* v, std::size_t count);

}  // namespace relgrad::kernels
