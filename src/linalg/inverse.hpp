#pragma once
/// The inverse of a matrix in its own precision, as part of a training step if an estimator needs
/// it.
#include <string_view>

#include "relgrad/core/types.hpp"
#include "relgrad/linalg/products.hpp"

namespace relgrad {

/// out = A^{-T}, D x D, by LU with partial pivoting in precision T. Cost: 2 D^3 flops. With the
/// ordered back end on one thread, so that the bits do not depend on their number.
/// @param where  names the matrix in errors, e.g. "layer/0/W"
/// @throws DivergedError if an entry is not finite or a pivot is exactly zero.
template <class T>
void inverse_transposed(std::string_view where, const ConstMatrixMap<T>& square,
                        const Products& products, MatrixMap<T> out);

}  // namespace relgrad
