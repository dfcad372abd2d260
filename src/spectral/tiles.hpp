#pragma once
/// A spectral layer's frequencies in tiles, shared out over threads.
#include <algorithm>
#include <vector>

#include "core/columns.hpp"
#include "relgrad/core/types.hpp"
#include "spectral/kernels/spectral_kernels.hpp"

namespace relgrad {

/// Memory that stays with its thread from call to call. @param number  tells apart those that are
/// used at the same time.
template <class T, int number>
T* thread_numbers(std::size_t size) {
  static thread_local std::vector<T> numbers;
  if (numbers.size() < size) numbers.resize(size);
  return numbers.data();
}

/// work(tile, first frequency) for tiles that cover all frequencies; on all threads.
template <class Work>
void for_each_tile(Index channels, Index frequencies, Index samples, const Work& work) {
  constexpr Index lanes = kernels::spectral_lanes;
  const bool threaded = channels * frequencies * samples >= threaded_batch_size;
  for_each_index((frequencies + lanes - 1) / lanes, threaded, [&](Index tile) {
    const Index first = tile * lanes;
    work(
        kernels::SpectralTile{channels, frequencies, std::min(lanes, frequencies - first), samples},
        first);
  });
}

/// Rows of `columns` columns of F numbers each to a tile's packed ones, zero beyond its lanes.
template <class T>
void pack(const kernels::SpectralTile& tile, Index columns, const T* from, T* to) {
  for (Index k = 0; k < columns; ++k) {
    T* packed = to + k * kernels::spectral_lanes;
    std::copy_n(from + k * tile.frequencies, tile.lanes, packed);
    std::fill(packed + tile.lanes, packed + kernels::spectral_lanes, T(0));
  }
}

/// to += packed, back in columns of F numbers.
template <class T>
void add_unpacked(const kernels::SpectralTile& tile, Index columns, const T* packed, T* to) {
  for (Index k = 0; k < columns; ++k) {
    for (Index f = 0; f < tile.lanes; ++f) {
      to[k * tile.frequencies + f] += packed[k * kernels::spectral_lanes + f];
    }
  }
}

}  // namespace relgrad
