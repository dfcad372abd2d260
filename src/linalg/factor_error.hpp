#pragma once
/// Why a matrix has no LU factorisation.
#include <string_view>

#include "relgrad/core/types.hpp"

namespace relgrad {

/// @throws DivergedError: an entry of `where`, e.g. "layer/0/W", is not finite.
[[noreturn]] void throw_not_finite(std::string_view where);
/// @throws DivergedError: pivot `pivot`, counted from 1, is zero.
[[noreturn]] void throw_singular(std::string_view where, Index pivot);

}  // namespace relgrad
