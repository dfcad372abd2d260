#include "coupling/squeeze.hpp"

#include <fmt/format.h>

#include "core/columns.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

/// move(from, to) for every row of the unsqueezed sample and its place in the squeezed one, where
/// the odd columns follow `plane` numbers behind the even ones.
template <class T, class Move>
void for_each_row(Index channels, Index height, Index width, const ConstMatrixMap<T>& from,
                  const MatrixMap<T>& to, const Move& move) {
  if (height % 2 != 0 || width % 2 != 0) {
    throw UsageError(fmt::format(
        "squeeze: {} x {} positions, both must be even; crop or pad the images", height, width));
  }
  const Index size = channels * height * width;
  check_size("squeeze", "rows of the input", from.rows(), size);
  check_size("squeeze", "rows of the output", to.rows(), size);
  check_size("squeeze", "columns of the output", to.cols(), from.cols());
  const Index plane = height / 2 * (width / 2);
  for_each_sample(size, from.cols(), [&](Index n) {
    for (Index c = 0; c < channels; ++c) {
      for (Index y = 0; y < height; ++y) {
        const Index squeezed = (4 * c + 2 * (y % 2)) * plane + y / 2 * (width / 2);
        move(n * size + (c * height + y) * width, n * size + squeezed, plane);
      }
    }
  });
}

}  // namespace

template <class T>
void squeeze(Index channels, Index height, Index width, const ConstMatrixMap<T>& x,
             MatrixMap<T> y) {
  for_each_row<T>(channels, height, width, x, y, [&](Index row, Index place, Index plane) {
    const T* from = x.data() + row;
    T* even = y.data() + place;
    for (Index j = 0; j < width / 2; ++j) {
      even[j] = from[2 * j];
      even[plane + j] = from[2 * j + 1];
    }
  });
}

template <class T>
void unsqueeze(Index channels, Index height, Index width, const ConstMatrixMap<T>& y,
               MatrixMap<T> x) {
  for_each_row<T>(channels, height, width, y, x, [&](Index row, Index place, Index plane) {
    T* to = x.data() + row;
    const T* even = y.data() + place;
    for (Index j = 0; j < width / 2; ++j) {
      to[2 * j] = even[j];
      to[2 * j + 1] = even[plane + j];
    }
  });
}

template void squeeze(Index, Index, Index, const ConstMatrixMap<float>&, MatrixMap<float>);
template void squeeze(Index, Index, Index, const ConstMatrixMap<double>&, MatrixMap<double>);
template void unsqueeze(Index, Index, Index, const ConstMatrixMap<float>&, MatrixMap<float>);
template void unsqueeze(Index, Index, Index, const ConstMatrixMap<double>&, MatrixMap<double>);

}  // namespace relgrad
