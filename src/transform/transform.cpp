#include "relgrad/transform/transform.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/names.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"
#include "transform/maps.hpp"

namespace relgrad {

namespace {

constexpr Names<TransformKind, 4> names = {{{TransformKind::none, "none"},
                                            {TransformKind::logit, "logit"},
                                            {TransformKind::standardize, "standardize"},
                                            {TransformKind::marginal, "marginal"}}};

}  // namespace

TransformKind parse_transform_kind(std::string_view name) {
  if (const auto kind = value_for(names, name)) return *kind;
  throw UsageError(
      fmt::format("transform '{}' is unknown. Choose none, logit, standardize or marginal.", name));
}

std::string_view name_of(TransformKind kind) { return word_for(names, kind); }

void warn_of_constant_dimensions(std::string_view transform, Index constant, Index all) {
  if (constant == 0) return;
  log_warning(
      fmt::format("{}: {} of {} dimensions are constant; they are shifted, not scaled. "
                  "Their density has no meaning: leave them out of the data.",
                  transform, constant, all));
}

void LevelCounts::add(const RawBatch& batch) {
  if (counts.empty()) {
    dimension = batch.dimension;
    counts.assign(static_cast<std::size_t>(256 * dimension), 0);
  }
  check_transform_batch("LevelCounts::add", batch, ElementType::uint8, dimension, dimension,
                        batch.count);
  const std::uint8_t* levels = batch.uint8_data();
  for (Index n = 0; n < batch.count; ++n) {
    for (Index d = 0; d < dimension; ++d) {
      ++counts[static_cast<std::size_t>(256 * d + levels[n * dimension + d])];
    }
  }
}

void check_transform_batch(std::string_view where, const RawBatch& batch, ElementType type,
                           Index dimension, Index rows, Index cols) {
  if (batch.type != type) {
    throw DataError(fmt::format(
        "{}: the data are {}, the transform was fitted to {}. Use the data set it was fitted to.",
        where, batch.type == ElementType::uint8 ? "uint8" : "float32",
        type == ElementType::uint8 ? "uint8" : "float32"));
  }
  check_size(where, "dimension of the batch", batch.dimension, dimension);
  check_size(where, "rows of x", rows, dimension);
  check_size(where, "columns of x", cols, batch.count);
}

template <class T>
std::span<const T> dequantization_noise(const NoiseKey& noise, std::uint64_t sample_id,
                                        Index dimension) {
  static thread_local std::vector<T> buffer;
  buffer.resize(static_cast<std::size_t>(dimension));
  RandomStream(noise.seed, noise.purpose, noise.epoch, sample_id).uniform(buffer);
  return buffer;
}
template std::span<const float> dequantization_noise(const NoiseKey&, std::uint64_t, Index);
template std::span<const double> dequantization_noise(const NoiseKey&, std::uint64_t, Index);

double hold_in_levels(double value) {
  static const double last = std::nextafter(256.0, 0.0);
  return std::clamp(value, 0.0, last);
}

namespace {

[[noreturn]] void throw_logit_needs_levels() {
  throw UsageError(
      "transform logit needs 8-bit data, the data set holds float32. Use standardize or marginal.");
}

const TransformTable& find_table(const std::vector<TransformTable>& tables, std::string_view name,
                                 Index rows, Index cols) {
  const auto found = std::ranges::find(tables, name, &TransformTable::name);
  if (found == tables.end()) {
    throw CheckpointError(
        fmt::format("transform: table '{}' is missing. Use another checkpoint of the run.", name));
  }
  if (found->rows != rows || found->cols != cols ||
      static_cast<Index>(found->values.size()) != rows * cols) {
    throw CheckpointError(
        fmt::format("transform: table '{}' is {} x {}, expected {} x {}. Use the checkpoint with "
                    "the data set it was trained on.",
                    name, found->rows, found->cols, rows, cols));
  }
  return *found;
}

std::vector<double> constant(Index dimension, double value) {
  return std::vector<double>(static_cast<std::size_t>(dimension), value);
}

template <class T>
std::unique_ptr<Transform<T>> make_none(ElementType type, Index dimension) {
  return make_standardize<T>(TransformKind::none, type, constant(dimension, 0.0),
                             constant(dimension, 1.0));
}

}  // namespace

template <class T>
std::unique_ptr<Transform<T>> fit_transform(const TransformOptions& options,
                                            const LevelCounts& counts) {
  if (std::ranges::none_of(counts.counts, [](std::int64_t count) { return count > 0; })) {
    throw DataError("transform: the training split holds no sample. Prepare it again with images.");
  }
  switch (options.kind) {
    case TransformKind::none:
      return make_none<T>(ElementType::uint8, counts.dimension);
    case TransformKind::logit:
      return make_logit<T>(counts.dimension, options.logit_a);
    case TransformKind::standardize: {
      auto [mean, deviation] = moments_of(counts);
      return make_standardize<T>(options.kind, ElementType::uint8, std::move(mean),
                                 std::move(deviation));
    }
    case TransformKind::marginal:
      return make_level_marginal<T>({counts.counts.begin(), counts.counts.end()}, counts.dimension,
                                    options.marginal_pseudo_count);
  }
  return nullptr;
}

template <class T>
std::unique_ptr<Transform<T>> fit_transform(const TransformOptions& options,
                                            const Matrix<double>& sample) {
  if (sample.cols() == 0) {
    throw DataError("transform: the training split holds no sample. Prepare it again with data.");
  }
  if (!sample.allFinite()) {
    throw DataError("transform: the training split holds NaN or infinite values. Remove them.");
  }
  switch (options.kind) {
    case TransformKind::none:
      return make_none<T>(ElementType::float32, sample.rows());
    case TransformKind::logit:
      throw_logit_needs_levels();
    case TransformKind::standardize: {
      auto [mean, deviation] = moments_of(sample);
      return make_standardize<T>(options.kind, ElementType::float32, std::move(mean),
                                 std::move(deviation));
    }
    case TransformKind::marginal:
      return make_quantile_marginal<T>(fit_quantiles(sample));
  }
  return nullptr;
}

template <class T>
std::unique_ptr<Transform<T>> restore_transform(const TransformOptions& options, ElementType type,
                                                Index dimension,
                                                const std::vector<TransformTable>& tables) {
  const auto values = [&](std::string_view name, Index rows, Index cols) {
    return find_table(tables, name, rows, cols).values;
  };
  switch (options.kind) {
    case TransformKind::none:
      return make_none<T>(type, dimension);
    case TransformKind::logit:
      if (type != ElementType::uint8) throw_logit_needs_levels();
      return make_logit<T>(dimension, options.logit_a);
    case TransformKind::standardize:
      return make_standardize<T>(options.kind, type, values("mean", dimension, 1),
                                 values("standard_deviation", dimension, 1));
    case TransformKind::marginal:
      if (type == ElementType::uint8) {
        return make_level_marginal<T>(values("cdf_counts", 256, dimension), dimension,
                                      options.marginal_pseudo_count);
      }
      return make_quantile_marginal<T>({values("knot_counts", dimension, 1),
                                        values("knot_values", quantile_knots, dimension),
                                        values("knot_normals", quantile_knots, dimension),
                                        values("knot_slopes", quantile_knots, dimension)});
  }
  return nullptr;
}

#define RELGRAD_INSTANTIATE(T)                                                  \
  template std::unique_ptr<Transform<T>> fit_transform(const TransformOptions&, \
                                                       const LevelCounts&);     \
  template std::unique_ptr<Transform<T>> fit_transform(const TransformOptions&, \
                                                       const Matrix<double>&);  \
  template std::unique_ptr<Transform<T>> restore_transform(                     \
      const TransformOptions&, ElementType, Index, const std::vector<TransformTable>&);
RELGRAD_INSTANTIATE(float)
RELGRAD_INSTANTIATE(double)
#undef RELGRAD_INSTANTIATE

}  // namespace relgrad
