#pragma once
/// The class of a sample.
#include <cstdint>

namespace relgrad {

/// 0, 1, ...; no_label: not known.
using Label = std::int32_t;
inline constexpr Label no_label = -1;

}  // namespace relgrad
