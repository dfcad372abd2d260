#pragma once
/// Which matrix products this process can call, and which units of the CPU each of them uses here.
#include <string>
#include <utility>
#include <vector>

namespace relgrad {

/// (what, facts): ("openblas", "0.3.21, kernels SkylakeX, ..."), ("onednn", "2.6.3,
/// avx512_core_bf16"), ("ordered", "512-bit vectors"), ("bf16", "amx").
std::vector<std::pair<std::string, std::string>> product_libraries();

}  // namespace relgrad
