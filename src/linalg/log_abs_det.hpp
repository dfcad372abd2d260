#pragma once
/// log|det| in little memory, for training runs whose weights and moments fill the rank.
#include <string_view>

#include "relgrad/core/types.hpp"

namespace relgrad {

/// log|det A| in nats of a D x D matrix, by left-looking LU with partial pivoting, panel by panel
/// in double precision. Only the multipliers L are kept, in A's own precision (rounding them is
/// like rounding A's entries once more), so it needs D^2 / 2 numbers of type T beside A where
/// LuFactors needs D^2 doubles. Cost: 2/3 D^3 flops.
/// @param where  names the matrix in errors, e.g. "layer/0/W"
/// @throws DivergedError if an entry is not finite or a pivot is exactly zero.
template <class T>
double log_abs_det(std::string_view where, const ConstMatrixMap<T>& square);

}  // namespace relgrad
