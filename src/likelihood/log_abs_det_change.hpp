#pragma once
/// What an update of low rank does to log|det W|, without a factorisation of W (MATH section 2).
#include "relgrad/core/types.hpp"

namespace relgrad {

/// log|det W'| - log|det W| in nats of the D x D matrix
///   W' = growth W + step Delta Y^T W = growth (I + (step / growth) Delta Y^T) W,
/// the step of plain gradient ascent along the relative gradient. By det(I_D + U V^T) =
/// det(I_N + V^T U) (Sylvester's determinant identity), with Delta and Y both D x N:
///   D log|growth| + log|det(I_N + (step / growth) Y^T Delta)|
/// Cost: 2/3 N^3 flops, beside the 2 N^2 D of Y^T Delta.
/// @param inner  Y^T Delta or its transpose, N x N; N may be 0
/// @return  not finite where W' has no finite log|det|
double log_abs_det_change(Index dimension, double growth, double step, const Matrix<double>& inner);

}  // namespace relgrad
