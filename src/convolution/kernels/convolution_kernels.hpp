#pragma once
/// The hot loops of convolutions. They work on tiles: as many samples as a vector has numbers, one
/// per lane, so that every instruction is full whatever the planes' size, and what a sample gets
/// does not depend on those beside it.
///
/// A padded tile is [channel][H + 2 halo][W + 2 halo][lane], a plain one [channel][H][W][lane].
#include <cstddef>

#include "relgrad/core/exact_sum.hpp"

namespace relgrad::kernels {

using Count = std::ptrdiff_t;

/// Output channels whose weights lie together, [block][channel in][tap][channel of the block].
inline constexpr int convolution_block = 4;

struct ConvolutionPlanes {
  Count height;
  Count width;
  Count taps;     // along one axis: 1, 3, 5, 7
  bool circular;  // what a halo holds: the opposite border, or zeros
  Count halo() const { return (taps - 1) / 2; }
  Count size() const { return height * width; }
  Count padded_width() const { return width + taps - 1; }
  /// Positions from one padded plane to the next: an odd number of fours, as planes a power of two
  /// apart would compete for the same lines of the cache.
  Count padded_size() const { return 4 * (((height + taps - 1) * padded_width() + 3) / 4 | 1); }
};

/// Samples of a tile in a batch: `count` columns of `size` numbers, from 1 to the number of lanes.
template <class T>
struct SampleColumns {
  T* first;
  Count size;
  Count count;
};

/// A part of a weight gradient: a few channels out, and channels in [first_in, last_in) of all. The
/// bias is summed with the first channel in.
struct CorrelationBlock {
  Count first_channel;
  Count channels;  // at most convolution_block
  Count channels_in;
  Count first_in;
  Count last_in;
};

template <class T>
struct ConvolutionKernels {
  Count lanes;
  /// Channels [begin, end) of a padded tile. Lanes without a sample are zero.
  void (*gather)(const ConvolutionPlanes& planes, const SampleColumns<const T>& samples,
                 Count begin, Count end, T* tile);
  void (*scatter)(const T* plain, const SampleColumns<T>& samples);
  /// plain = w * padded + bias. @param weights, bias  in whole blocks
  void (*convolve)(const ConvolutionPlanes& planes, Count channels_in, Count channels_out,
                   const T* weights, const T* bias, const T* padded, T* plain);
  /// sums[channel][channel in][tap] += delta corr x over `tiles` pairs of padded tiles, and
  /// bias[channel] += delta. @param delta_stride, x_stride  from one tile to the next
  void (*correlate)(const ConvolutionPlanes& planes, const CorrelationBlock& block, Count tiles,
                    const T* delta, Count delta_stride, const T* x, Count x_stride, T* sums,
                    T* bias);
  /// The same of one pair of tiles, each sample's term rounded to the grid.
  void (*correlate_exact)(const ConvolutionPlanes& planes, const CorrelationBlock& block,
                          const T* delta, const T* x, const ExactGrid& grid, double* sums,
                          double* bias);
};

enum class VectorWidth { bits_128, bits_256, bits_512 };

/// Those of the widest vectors that this CPU has, up to `widest`.
template <class T>
const ConvolutionKernels<T>& convolution_kernels(VectorWidth widest = VectorWidth::bits_512);

}  // namespace relgrad::kernels
