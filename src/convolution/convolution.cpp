#include "convolution/convolution.hpp"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "convolution/kernels/convolution_kernels.hpp"
#include "core/columns.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

using kernels::ConvolutionKernels;
using kernels::ConvolutionPlanes;

constexpr Index block = kernels::convolution_block;
/// Below this many flops a batch is worked on by one thread.
constexpr double threaded_flops = 1e6;
/// Tiles of a weight gradient that are summed together while they fit in the cache.
constexpr Index group_bytes = 256 * 1024;
constexpr Index group_tiles = 4;

Index blocks_of(Index channels) { return (channels + block - 1) / block; }

ConvolutionPlanes planes_of(const ConvolutionShape& shape) {
  return {shape.height, shape.width, shape.taps, shape.padding == Padding::circular};
}

bool pays_threads(const ConvolutionShape& shape, Index batch) {
  return 2.0 * static_cast<double>(shape.weights()) * static_cast<double>(shape.positions()) *
             static_cast<double>(batch) >=
         threaded_flops;
}

/// Where the parts of the scratch memory begin; all parts are whole lines of cache.
template <class T>
class ScratchPlan {
 public:
  explicit ScratchPlan(const ConvolutionShape& shape)
      : lanes(kernels::convolution_kernels<T>().lanes),
        plane(planes_of(shape).padded_size() * lanes),
        padded_in(lines(shape.channels_in * plane)),
        padded_out(lines(shape.channels_out * plane)),
        plain_out(lines(shape.outputs() * lanes)),
        weights(lines(blocks_of(shape.channels_out) * block * shape.channels_in * shape.taps *
                      shape.taps)),
        bias(lines(blocks_of(shape.channels_out) * block)) {}

  /// Tiles whose weight gradients are summed in registers before they are added to the others.
  Index tiles_together() const {
    const Index bytes = (padded_in + padded_out) * static_cast<Index>(sizeof(T));
    return std::clamp<Index>(group_bytes / bytes, 1, group_tiles);
  }
  /// Channels in whose planes stay in the cache while the channels out pass.
  Index channels_near(Index tiles) const {
    return std::max<Index>(group_bytes / 2 / (tiles * plane * static_cast<Index>(sizeof(T))), 1);
  }
  Index forward_size() const {
    return weights + bias + omp_get_max_threads() * (padded_in + plain_out) + line;
  }
  Index gradient_size() const { return tiles_together() * (padded_in + padded_out) + line; }

  /// The first whole line of cache.
  static T* aligned(std::span<T> scratch) {
    auto address = reinterpret_cast<std::uintptr_t>(scratch.data());
    address = (address + 63) / 64 * 64;
    return reinterpret_cast<T*>(address);
  }

  Index lanes;
  Index plane;
  Index padded_in;
  Index padded_out;
  Index plain_out;
  Index weights;
  Index bias;

 private:
  static constexpr Index line = 64 / static_cast<Index>(sizeof(T));
  static Index lines(Index size) { return (size + line - 1) / line * line; }
};

/// packed[block][channel in][tap][channel of the block]
template <class T>
void pack_weights(const ConvolutionShape& shape, const T* weights, T* packed) {
  const Index columns = shape.channels_in * shape.taps * shape.taps;
  for (Index o = 0; o < blocks_of(shape.channels_out) * block; ++o) {
    T* to = packed + o / block * block * columns + o % block;
    for (Index i = 0; i < columns; ++i) {
      to[i * block] = o < shape.channels_out ? weights[o * columns + i] : T(0);
    }
  }
}

/// The same of the flipped weights, `shape` being that of the transposed convolution:
///   w'(o, c, i, j) = w(c, o, k - 1 - i, k - 1 - j)
template <class T>
void pack_flipped_weights(const ConvolutionShape& shape, const T* weights, T* packed) {
  const Index square = shape.taps * shape.taps;
  const Index columns = shape.channels_in * square;
  for (Index o = 0; o < blocks_of(shape.channels_out) * block; ++o) {
    T* to = packed + o / block * block * columns + o % block;
    for (Index c = 0; c < shape.channels_in; ++c) {
      for (Index tap = 0; tap < square; ++tap) {
        to[(c * square + tap) * block] =
            o < shape.channels_out
                ? weights[(c * shape.channels_out + o) * square + square - 1 - tap]
                : T(0);
      }
    }
  }
}

template <class T>
kernels::SampleColumns<T> samples_of(T* first, Index size, Index batch, Index tile, Index lanes) {
  return {first + tile * lanes * size, size, std::min(lanes, batch - tile * lanes)};
}

/// y = w * x + b with weights and bias packed in `scratch` already.
template <class T>
void convolve_packed(const ConvolutionShape& shape, const ScratchPlan<T>& plan,
                     const ConstMatrixMap<T>& input, MatrixMap<T> output, T* scratch) {
  const ConvolutionKernels<T>& run = kernels::convolution_kernels<T>();
  const ConvolutionPlanes planes = planes_of(shape);
  const Index batch = input.cols();
  const T* weights = scratch;
  const T* bias = scratch + plan.weights;
  T* tiles = scratch + plan.weights + plan.bias;
  const Index count = (batch + run.lanes - 1) / run.lanes;
  for_each_index(count, pays_threads(shape, batch), [&](Index tile) {
    T* padded = tiles + omp_get_thread_num() * (plan.padded_in + plan.plain_out);
    T* plain = padded + plan.padded_in;
    run.gather(planes, samples_of(input.data(), shape.inputs(), batch, tile, run.lanes), 0,
               shape.channels_in, padded);
    run.convolve(planes, shape.channels_in, shape.channels_out, weights, bias, padded, plain);
    run.scatter(plain, samples_of(output.data(), shape.outputs(), batch, tile, run.lanes));
  });
}

/// Calls work(tiles, delta, x) for every group of tiles, gathered in scratch memory; `work` sums
/// over them.
template <class T, class Work>
void for_each_tile_group(const ConvolutionShape& shape, const ConstMatrixMap<T>& input,
                         const ConstMatrixMap<T>& delta_out, Index together, T* scratch,
                         const Work& work) {
  const ConvolutionKernels<T>& run = kernels::convolution_kernels<T>();
  const ConvolutionPlanes planes = planes_of(shape);
  const ScratchPlan<T> plan(shape);
  const Index batch = input.cols();
  const Index count = (batch + run.lanes - 1) / run.lanes;
  const bool threaded = pays_threads(shape, batch);
  T* x = scratch;
  T* delta = scratch + together * plan.padded_in;
  for (Index first = 0; first < count; first += together) {
    const Index tiles = std::min(together, count - first);
    const Index of_both = shape.channels_in + shape.channels_out;
    for_each_index(tiles * of_both, threaded, [&](Index i) {
      const Index tile = i / of_both;
      const Index c = i % of_both;
      const Index o = c - shape.channels_in;
      if (c < shape.channels_in) {
        run.gather(planes, samples_of(input.data(), shape.inputs(), batch, first + tile, run.lanes),
                   c, c + 1, x + tile * plan.padded_in);
      } else {
        run.gather(planes,
                   samples_of(delta_out.data(), shape.outputs(), batch, first + tile, run.lanes), o,
                   o + 1, delta + tile * plan.padded_out);
      }
    });
    for (Index in = 0; in < shape.channels_in; in += plan.channels_near(tiles)) {
      const Index end = std::min(in + plan.channels_near(tiles), shape.channels_in);
      for_each_index(blocks_of(shape.channels_out), threaded, [&](Index b) {
        const Index channels = std::min(block, shape.channels_out - b * block);
        work({b * block, channels, shape.channels_in, in, end}, tiles, delta, x);
      });
    }
  }
}

template <class T>
void check_scratch(std::string_view where, const ConvolutionShape& shape, std::size_t size) {
  const Index needed = convolution_scratch_size<T>(shape);
  if (static_cast<Index>(size) < needed) check_size(where, "scratch", size, needed);
}

template <class T>
void check_weight_gradient(std::string_view where, const ConvolutionShape& shape,
                           const ConstMatrixMap<T>& input, const ConstMatrixMap<T>& delta_out,
                           std::size_t weight_sums, std::size_t bias_sums) {
  check_size(where, "rows of input", input.rows(), shape.inputs());
  check_size(where, "columns of delta_out", delta_out.cols(), input.cols());
  check_size(where, "rows of delta_out", delta_out.rows(), shape.outputs());
  check_size(where, "weight sums", static_cast<Index>(weight_sums), shape.weights());
  check_size(where, "bias sums", static_cast<Index>(bias_sums), shape.channels_out);
}

}  // namespace

void check_convolution(std::string_view where, const ConvolutionShape& shape) {
  if (shape.channels_in < 1 || shape.channels_out < 1 || shape.height < 1 || shape.width < 1) {
    throw UsageError(fmt::format("{}: {} to {} channels of {} x {}, all must be at least 1.", where,
                                 shape.channels_in, shape.channels_out, shape.height, shape.width));
  }
  if (shape.taps != 1 && shape.taps != 3 && shape.taps != 5 && shape.taps != 7) {
    throw UsageError(
        fmt::format("{}: kernel size {}, must be 1, 3, 5 or 7. Use 3.", where, shape.taps));
  }
}

template <class T>
Index convolution_scratch_size(const ConvolutionShape& shape) {
  const ScratchPlan<T> plan(shape);
  const ScratchPlan<T> transposed(shape.transposed());
  return std::max({plan.forward_size(), transposed.forward_size(), plan.gradient_size()});
}

template <class T>
void convolve(const ConvolutionShape& shape, std::span<const T> weights, std::span<const T> bias,
              const ConstMatrixMap<T>& input, MatrixMap<T> output, std::span<T> scratch) {
  constexpr std::string_view where = "convolve";
  check_size(where, "rows of input", input.rows(), shape.inputs());
  check_size(where, "columns of output", output.cols(), input.cols());
  check_size(where, "rows of output", output.rows(), shape.outputs());
  check_size(where, "weights", static_cast<Index>(weights.size()), shape.weights());
  check_scratch<T>(where, shape, scratch.size());
  const ScratchPlan<T> plan(shape);
  T* memory = plan.aligned(scratch);
  pack_weights(shape, weights.data(), memory);
  std::fill_n(memory + plan.weights, plan.bias, T(0));
  std::copy(bias.begin(), bias.end(), memory + plan.weights);
  convolve_packed(shape, plan, input, output, memory);
}

template <class T>
void convolve_transposed(const ConvolutionShape& shape, std::span<const T> weights,
                         const ConstMatrixMap<T>& delta_out, MatrixMap<T> delta_in,
                         std::span<T> scratch) {
  constexpr std::string_view where = "convolve_transposed";
  check_size(where, "rows of delta_out", delta_out.rows(), shape.outputs());
  check_size(where, "columns of delta_in", delta_in.cols(), delta_out.cols());
  check_size(where, "rows of delta_in", delta_in.rows(), shape.inputs());
  check_size(where, "weights", static_cast<Index>(weights.size()), shape.weights());
  check_scratch<T>(where, shape, scratch.size());
  const ConvolutionShape transposed = shape.transposed();
  const ScratchPlan<T> plan(transposed);
  T* memory = plan.aligned(scratch);
  pack_flipped_weights(transposed, weights.data(), memory);
  std::fill_n(memory + plan.weights, plan.bias, T(0));
  convolve_packed(transposed, plan, delta_out, delta_in, memory);
}

template <class T>
void add_weight_gradient(const ConvolutionShape& shape, const ConstMatrixMap<T>& input,
                         const ConstMatrixMap<T>& delta_out, std::span<T> weight_sums,
                         std::span<T> bias_sums, std::span<T> scratch) {
  constexpr std::string_view where = "add_weight_gradient";
  check_weight_gradient<T>(where, shape, input, delta_out, weight_sums.size(), bias_sums.size());
  check_scratch<T>(where, shape, scratch.size());
  const ScratchPlan<T> plan(shape);
  for_each_tile_group(
      shape, input, delta_out, plan.tiles_together(), plan.aligned(scratch),
      [&](const kernels::CorrelationBlock& of_block, Index tiles, const T* delta, const T* x) {
        kernels::convolution_kernels<T>().correlate(planes_of(shape), of_block, tiles, delta,
                                                    plan.padded_out, x, plan.padded_in,
                                                    weight_sums.data(), bias_sums.data());
      });
}

template <class T>
void add_weight_gradient_exact(const ConvolutionShape& shape, const ConstMatrixMap<T>& input,
                               const ConstMatrixMap<T>& delta_out, const ExactGrid& grid,
                               std::span<double> weight_sums, std::span<double> bias_sums,
                               std::span<T> scratch) {
  constexpr std::string_view where = "add_weight_gradient_exact";
  check_weight_gradient<T>(where, shape, input, delta_out, weight_sums.size(), bias_sums.size());
  check_scratch<T>(where, shape, scratch.size());
  for_each_tile_group(
      shape, input, delta_out, /*together=*/1, ScratchPlan<T>::aligned(scratch),
      [&](const kernels::CorrelationBlock& of_block, Index, const T* delta, const T* x) {
        kernels::convolution_kernels<T>().correlate_exact(
            planes_of(shape), of_block, delta, x, grid, weight_sums.data(), bias_sums.data());
      });
}

template <class T>
void flip_weights(const ConvolutionShape& shape, std::span<const T> weights, std::span<T> flipped) {
  check_size("flip_weights", "weights", static_cast<Index>(weights.size()), shape.weights());
  check_size("flip_weights", "flipped", static_cast<Index>(flipped.size()), shape.weights());
  const Index square = shape.taps * shape.taps;
  for (Index o = 0; o < shape.channels_out; ++o) {
    for (Index c = 0; c < shape.channels_in; ++c) {
      const T* from = weights.data() + (o * shape.channels_in + c) * square;
      T* to = flipped.data() + (c * shape.channels_out + o) * square;
      std::reverse_copy(from, from + square, to);
    }
  }
}

Index tap_multiplicity(const ConvolutionShape& shape, Index i, Index j) {
  if (shape.padding == Padding::circular) return shape.positions();
  const Index r = (shape.taps - 1) / 2;
  const auto along = [](Index size, Index offset) {
    return std::max<Index>(0, size - (offset < 0 ? -offset : offset));
  };
  return along(shape.height, i - r) * along(shape.width, j - r);
}

#define RELGRAD_INSTANTIATE_CONVOLUTION(T)                                                     \
  template Index convolution_scratch_size<T>(const ConvolutionShape&);                         \
  template void convolve(const ConvolutionShape&, std::span<const T>, std::span<const T>,      \
                         const ConstMatrixMap<T>&, MatrixMap<T>, std::span<T>);                \
  template void convolve_transposed(const ConvolutionShape&, std::span<const T>,               \
                                    const ConstMatrixMap<T>&, MatrixMap<T>, std::span<T>);     \
  template void add_weight_gradient(const ConvolutionShape&, const ConstMatrixMap<T>&,         \
                                    const ConstMatrixMap<T>&, std::span<T>, std::span<T>,      \
                                    std::span<T>);                                             \
  template void add_weight_gradient_exact(const ConvolutionShape&, const ConstMatrixMap<T>&,   \
                                          const ConstMatrixMap<T>&, const ExactGrid&,          \
                                          std::span<double>, std::span<double>, std::span<T>); \
  template void flip_weights(const ConvolutionShape&, std::span<const T>, std::span<T>);
RELGRAD_INSTANTIATE_CONVOLUTION(float)
RELGRAD_INSTANTIATE_CONVOLUTION(double)
#undef RELGRAD_INSTANTIATE_CONVOLUTION

}  // namespace relgrad
