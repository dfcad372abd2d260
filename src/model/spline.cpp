#include "model/spline.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "core/columns.hpp"
#include "core/rational_quadratic.hpp"
#include "model/kernels/spline_kernels.hpp"
#include "relgrad/core/error.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace relgrad {

namespace {

constexpr Index lanes_max = kernels::spline_lanes;
constexpr Index bins_max = 128;

Index tile_count(Index dimension) { return (dimension + lanes_max - 1) / lanes_max; }

/// Samples one thread takes at a time: all of them when it is alone, so that a tile is loaded once.
Index samples_per_task(Index dimension, Index batch) {
#ifdef _OPENMP
  const Index threads = omp_get_max_threads();
  if (threads > 1 && dimension * batch >= threaded_batch_size) {
    return (batch + threads - 1) / threads;
  }
#endif
  static_cast<void>(dimension);
  return std::max<Index>(batch, 1);
}

/// Inverse of one number: the tails are straight, the bins have a closed form.
template <class T>
T inverse_at(const T* knots, Index bins, Index lane, T output) {
  const auto knot = [&](Index k, Index part) { return knots[(k * 3 + part) * lanes_max + lane]; };
  if (!(output > knot(0, 1))) return knot(0, 0) + (output - knot(0, 1)) / knot(0, 2);
  if (output >= knot(bins, 1)) {
    return knot(bins, 0) + (output - knot(bins, 1)) / knot(bins, 2);
  }
  Index k = 0;
  while (k + 1 < bins && output >= knot(k + 1, 1)) ++k;
  return invert(RationalQuadraticBin<T>{knot(k, 0), knot(k + 1, 0) - knot(k, 0), knot(k, 1),
                                        knot(k + 1, 1) - knot(k, 1), knot(k, 2), knot(k + 1, 2)},
                output);
}

/// The group of every coordinate.
std::vector<Index> groups_of(const SampleShape& shape, SplineSharing sharing) {
  constexpr Index rings = 24;
  std::vector<Index> groups;
  for (Index c = 0; c < shape.channels; ++c) {
    for (Index u = 0; u < shape.height; ++u) {
      for (Index v = 0; v < shape.width; ++v) {
        const double x = static_cast<double>(u) / static_cast<double>(shape.height);
        const double y = static_cast<double>(v) / static_cast<double>(shape.width);
        const auto ring = static_cast<Index>(std::hypot(x, y) / std::numbers::sqrt2 * rings);
        groups.push_back(sharing == SplineSharing::channel ? c : c * rings + ring);
      }
    }
  }
  return groups;
}

}  // namespace

template <class T>
SplineLayer<T>::SplineLayer(ParameterStore<T>& store, const std::string& prefix,
                            const SampleShape& shape, const Range& own, Index bins, double bound,
                            SplineSharing sharing)
    : store_(&store),
      shape_(shape),
      dimension_(shape.size()),
      own_(own),
      bins_(bins),
      bound_(bound) {
  if (bins < 1 || bins > bins_max) {
    throw UsageError(
        fmt::format("{}: {} spline bins, must be 1 to {}. Use 12.", prefix, bins, bins_max));
  }
  if (!(bound > 0.0)) {
    throw UsageError(
        fmt::format("{}: spline bound is {}, must be positive. Use 4.", prefix, bound));
  }
  groups_ = dimension_;
  if (sharing != SplineSharing::pixel) {
    group_ = groups_of(shape, sharing);
    groups_ = 1 + *std::ranges::max_element(group_);
    every_.resize(static_cast<std::size_t>(dimension_ * (3 * bins + 1)));
    every_sum_.resize(every_.size());
  }
  const ParameterUse use{.rate = ParameterUse::Rate::elementwise};
  widths_id_ = store.add(prefix + "/widths", use, groups_, bins);
  heights_id_ = store.add(prefix + "/heights", use, groups_, bins);
  slopes_id_ = store.add(prefix + "/slopes", use, groups_, bins + 1);
  const auto tiles = static_cast<std::size_t>(tile_count(own.size()));
  knots_.resize(tiles * kernels::spline_knots_size(static_cast<int>(bins)));
  chain_.resize(tiles * kernels::spline_chain_size(static_cast<int>(bins)));
}

template <class T>
kernels::TileShape SplineLayer<T>::parameter_shape(Index tile) const {
  const Index lanes = std::min(lanes_max, own_.size() - tile * lanes_max);
  return {static_cast<int>(lanes), dimension_, static_cast<int>(bins_)};
}

template <class T>
kernels::TileShape SplineLayer<T>::batch_shape(Index tile) const {
  const Index lanes = std::min(lanes_max, own_.size() - tile * lanes_max);
  return {static_cast<int>(lanes), own_.size(), static_cast<int>(bins_)};
}

template <class T>
void SplineLayer<T>::spread(std::span<const T> values, Index columns, T* every) const {
  for (Index k = 0; k < columns; ++k) {
    const T* of_groups = values.data() + k * groups_;
    T* column = every + k * dimension_;
    for (Index i = 0; i < dimension_; ++i)
      column[i] = of_groups[group_[static_cast<std::size_t>(i)]];
  }
}

template <class T>
void SplineLayer<T>::collect(const T* every, Index columns, std::span<T> sums) const {
  for (Index k = 0; k < columns; ++k) {
    T* of_groups = sums.data() + k * groups_;
    const T* column = every + k * dimension_;
    for (Index i = 0; i < dimension_; ++i) {
      of_groups[group_[static_cast<std::size_t>(i)]] += column[i];
    }
  }
}

template <class T>
typename SplineLayer<T>::EverySum SplineLayer<T>::begin_sums(ParameterSums<T>& sums) const {
  if (!is_shared()) {
    return {sums.sum(widths_id_).data(), sums.sum(heights_id_).data(), sums.sum(slopes_id_).data()};
  }
  std::ranges::fill(every_sum_, T(0));
  T* every = every_sum_.data();
  return {every, every + dimension_ * bins_, every + 2 * dimension_ * bins_};
}

template <class T>
void SplineLayer<T>::end_sums(ParameterSums<T>& sums) const {
  if (!is_shared()) return;
  const T* every = every_sum_.data();
  collect(every, bins_, sums.sum(widths_id_));
  collect(every + dimension_ * bins_, bins_, sums.sum(heights_id_));
  collect(every + 2 * dimension_ * bins_, bins_ + 1, sums.sum(slopes_id_));
}

template <class T>
void SplineLayer<T>::prepare() {
  const auto& store = std::as_const(*store_);
  const T* widths = store.values(widths_id_).data();
  const T* heights = store.values(heights_id_).data();
  const T* slopes = store.values(slopes_id_).data();
  if (is_shared()) {
    T* every = every_.data();
    spread(store.values(widths_id_), bins_, every);
    spread(store.values(heights_id_), bins_, every + dimension_ * bins_);
    spread(store.values(slopes_id_), bins_ + 1, every + 2 * dimension_ * bins_);
    widths = every;
    heights = every + dimension_ * bins_;
    slopes = every + 2 * dimension_ * bins_;
  }
  const auto knots_size = static_cast<Index>(kernels::spline_knots_size(static_cast<int>(bins_)));
  const auto chain_size = static_cast<Index>(kernels::spline_chain_size(static_cast<int>(bins_)));
  for_each_sample(bins_ * lanes_max, tile_count(own_.size()), [&](Index tile) {
    const Index first = own_.begin + tile * lanes_max;
    kernels::spline_prepare(parameter_shape(tile), widths + first, heights + first, slopes + first,
                            static_cast<T>(bound_), knots_.data() + tile * knots_size,
                            chain_.data() + tile * chain_size);
  });
}

template <class T>
void SplineLayer<T>::forward(LayerPass<T> pass) const {
  const ConstMatrixMap<T>& input = pass.input;
  MatrixMap<T>& output = pass.output;
  check_size("SplineLayer::forward", "rows of the batch", input.rows(), own_.size());
  check_size("SplineLayer::forward", "columns of the output", output.cols(), input.cols());
  const Index batch = input.cols();
  const Index per_task = samples_per_task(own_.size(), batch);
  const Index tasks = (batch + per_task - 1) / per_task;
  const auto knots_size = static_cast<Index>(kernels::spline_knots_size(static_cast<int>(bins_)));
  for_each_index(tasks, tasks > 1, [&](Index task) {
    const Index begin = task * per_task;
    const Index samples = std::min(per_task, batch - begin);
    for (Index tile = 0; tile < tile_count(own_.size()); ++tile) {
      const Index first = begin * own_.size() + tile * lanes_max;
      kernels::spline_forward(batch_shape(tile), knots_.data() + tile * knots_size,
                              input.data() + first, output.data() + first, samples,
                              pass.log_likelihood.data() + begin);
    }
  });
}

template <class T>
void SplineLayer<T>::inverse(const ConstMatrixMap<T>& output, const ConstMatrixMap<T>& /*latent*/,
                             MatrixMap<T> input, InverseKind /*kind*/) const {
  check_size("SplineLayer::inverse", "rows of the batch", output.rows(), own_.size());
  check_size("SplineLayer::inverse", "columns of the input", input.cols(), output.cols());
  const auto knots_size = static_cast<Index>(kernels::spline_knots_size(static_cast<int>(bins_)));
  for_each_sample(own_.size(), output.cols(), [&](Index n) {
    for (Index i = 0; i < own_.size(); ++i) {
      const T* knots = knots_.data() + i / lanes_max * knots_size;
      input(i, n) = inverse_at(knots, bins_, i % lanes_max, output(i, n));
    }
  });
}

template <class T>
void SplineLayer<T>::backward(LayerPass<T> pass, LayerDelta<T> delta, GradientSink<T>& sink) const {
  const ConstMatrixMap<T>& input = pass.input;
  MatrixMap<T>& delta_out = delta.output;
  MatrixMap<T>& delta_in = delta.input;
  check_size("SplineLayer::backward", "rows of the batch", input.rows(), own_.size());
  check_size("SplineLayer::backward", "columns of delta_out", delta_out.cols(), input.cols());
  check_size("SplineLayer::backward", "columns of delta_in", delta_in.cols(), input.cols());
  const EverySum sums_of = begin_sums(sink);
  T* widths = sums_of.widths;
  T* heights = sums_of.heights;
  T* slopes = sums_of.slopes;
  const auto knots_size = static_cast<Index>(kernels::spline_knots_size(static_cast<int>(bins_)));
  const auto chain_size = static_cast<Index>(kernels::spline_chain_size(static_cast<int>(bins_)));
  const std::size_t sums_size = kernels::spline_sums_size(static_cast<int>(bins_));
  const std::size_t condensed_size = kernels::spline_condensed_size(static_cast<int>(bins_));
  const std::optional<ExactSums> exact = sink.exact(widths_id_, exact_size());
  // Split over dimensions, never over samples: sums do not depend on the number of threads.
  const bool threaded = own_.size() * input.cols() >= threaded_batch_size;
  for_each_index(tile_count(own_.size()), threaded, [&](Index tile) {
    const kernels::TileShape shape = batch_shape(tile);
    const Index first = tile * lanes_max;
    static thread_local std::vector<double> exact_sums;  // keep their memory from step to step
    static thread_local std::vector<T> sums;
    static thread_local std::vector<T> condensed;
    if (exact) {
      exact_sums.assign(sums_size, 0.0);
      kernels::spline_backward_exact(shape, knots_.data() + tile * knots_size, input.data() + first,
                                     delta_out.data() + first, delta_in.data() + first,
                                     input.cols(), exact->grid, exact_sums.data());
      kernels::spline_condense(
          shape, exact_sums.data(),
          exact->sums.data() + static_cast<std::size_t>(tile) * condensed_size);
      return;
    }
    sums.assign(sums_size, T(0));
    condensed.assign(condensed_size, T(0));
    kernels::spline_backward(shape, knots_.data() + tile * knots_size, input.data() + first,
                             delta_out.data() + first, delta_in.data() + first, input.cols(),
                             sums.data());
    kernels::spline_condense(shape, sums.data(), condensed.data());
    const Index raw = own_.begin + first;
    kernels::spline_chain(parameter_shape(tile), condensed.data(),
                          chain_.data() + tile * chain_size, static_cast<T>(bound_), widths + raw,
                          heights + raw, slopes + raw);
  });
  if (!exact) end_sums(sink);
  const ParameterGradient<T> all[] = {
      {widths_id_, {}, {}}, {heights_id_, {}, {}}, {slopes_id_, {}, {}}};
  sink.give(all);
}

template <class T>
std::size_t SplineLayer<T>::exact_size() const {
  return static_cast<std::size_t>(tile_count(own_.size())) *
         kernels::spline_condensed_size(static_cast<int>(bins_));
}

template <class T>
void SplineLayer<T>::take_exact_sums(StepSums<T>& step) const {
  const std::optional<ExactSums> exact = step.exact(widths_id_, exact_size());
  if (!exact) return;
  const EverySum sums_of = begin_sums(step);
  T* widths = sums_of.widths;
  T* heights = sums_of.heights;
  T* slopes = sums_of.slopes;
  const std::size_t size = kernels::spline_condensed_size(static_cast<int>(bins_));
  const auto chain_size = static_cast<Index>(kernels::spline_chain_size(static_cast<int>(bins_)));
  for_each_index(tile_count(own_.size()), true, [&](Index tile) {
    static thread_local std::vector<T> condensed;
    const auto of_tile = exact->sums.subspan(static_cast<std::size_t>(tile) * size, size);
    condensed.assign(of_tile.begin(), of_tile.end());
    const Index first = own_.begin + tile * lanes_max;
    kernels::spline_chain(parameter_shape(tile), condensed.data(),
                          chain_.data() + tile * chain_size, static_cast<T>(bound_), widths + first,
                          heights + first, slopes + first);
  });
  end_sums(step);
}

template class SplineLayer<float>;
template class SplineLayer<double>;

}  // namespace relgrad
