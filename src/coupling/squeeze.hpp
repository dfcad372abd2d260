#pragma once
/// Squeeze (Dinh et al. 2017, arXiv 1605.08803, section 3.6): every 2 x 2 block of positions
/// becomes four channels,
///   C x H x W -> 4 C x H/2 x W/2,   y(4 c + 2 dy + dx, i, j) = x(c, 2 i + dy, 2 j + dx)
/// A permutation: log|det| is 0, and the backward pass is unsqueeze().
#include "relgrad/core/types.hpp"

namespace relgrad {

/// Squeezes every column of `x`, a C x H x W sample; `y` must be other memory.
/// @throws ShapeError unless the columns of both have channels * height * width numbers, and
/// UsageError if height or width is odd.
template <class T>
void squeeze(Index channels, Index height, Index width, const ConstMatrixMap<T>& x, MatrixMap<T> y);
/// Undoes squeeze(): `channels`, `height` and `width` are those of `x`, before the squeeze.
template <class T>
void unsqueeze(Index channels, Index height, Index width, const ConstMatrixMap<T>& y,
               MatrixMap<T> x);

}  // namespace relgrad
