// The marginal of real data: a monotone rational-quadratic spline (slopes by weighted harmonic
// means of the neighbouring secants) through at most 256 points (empirical quantile, normal
// quantile), straight beyond the outer ones; smooth to first order, and inverted in closed form.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "model/columns.hpp"
#include "model/kernels/rational_quadratic.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"
#include "transform/maps.hpp"
#include "transform/normal_quantile.hpp"

namespace relgrad {

namespace {

struct Knots {
  std::vector<double> value;
  std::vector<double> normal;
  std::vector<double> slope;
};

// Knots closer than this part of the range are one: a slope stays below about 1e6 deviations.
constexpr double smallest_gap = 1e-6;

/// Knots at evenly spaced ranks; tied values become one knot at the middle of their ranks.
Knots points_of(std::vector<double> sample) {
  std::ranges::sort(sample);
  const auto size = sample.size();
  const std::size_t count = std::min<std::size_t>(size, static_cast<std::size_t>(quantile_knots));
  const double gap = smallest_gap * (sample.back() - sample.front());
  Knots knots;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t rank = count == 1 ? 0 : i * (size - 1) / (count - 1);
    const double value = sample[rank];
    if (!knots.value.empty() && !(value - knots.value.back() > gap)) continue;
    const auto equal = std::ranges::equal_range(sample, value);
    const auto below = static_cast<double>(equal.begin() - sample.begin());
    const auto up_to = static_cast<double>(equal.end() - sample.begin());
    const double p = 0.5 * (below + up_to) / static_cast<double>(size);
    knots.value.push_back(value);
    knots.normal.push_back(p <= 0.5 ? -normal_quantile_magnitude(p)
                                    : normal_quantile_magnitude(1.0 - p));
  }
  return knots;
}

// Interior: (w1 + w2) / (w1 / s1 + w2 / s2), w1 = h1 + 2 h2, w2 = 2 h1 + h2 (Fritsch and Butland
// 1984).
void add_slopes(Knots& knots) {
  const std::size_t count = knots.value.size();
  knots.slope.assign(count, 1.0);
  if (count == 1) return;
  const auto width = [&](std::size_t k) { return knots.value[k + 1] - knots.value[k]; };
  const auto secant = [&](std::size_t k) {
    return (knots.normal[k + 1] - knots.normal[k]) / width(k);
  };
  knots.slope.front() = secant(0);
  knots.slope.back() = secant(count - 2);
  for (std::size_t k = 1; k + 1 < count; ++k) {
    const double left = width(k - 1) + 2.0 * width(k);
    const double right = 2.0 * width(k - 1) + width(k);
    knots.slope[k] = (left + right) / (left / secant(k - 1) + right / secant(k));
  }
}

template <class T>
class QuantileMarginal final : public Transform<T> {
 public:
  explicit QuantileMarginal(QuantileTables tables)
      : dimension_(static_cast<Index>(tables.count.size())), tables_(std::move(tables)) {}
  TransformKind kind() const override { return TransformKind::marginal; }
  Index dimension() const override { return dimension_; }

  void forward(const RawBatch& batch, const NoiseKey& /*noise*/, MatrixMap<T> x,
               std::span<double> log_slope) const override {
    check_transform_batch("marginal", batch, ElementType::float32, dimension_, x.rows(), x.cols());
    for_each_sample(dimension_, batch.count, [&](Index n) {
      const float* values = batch.float32_data() + n * dimension_;
      double sum = 0.0;
      for (Index d = 0; d < dimension_; ++d) {
        const auto point = forward_at(d, static_cast<double>(values[d]));
        x(d, n) = static_cast<T>(point.value);
        sum += std::log(point.slope);
      }
      log_slope[static_cast<std::size_t>(n)] += sum;
    });
  }

  void inverse(const ConstMatrixMap<T>& x, MatrixMap<double> values) const override {
    for_each_sample(dimension_, x.cols(), [&](Index n) {
      for (Index d = 0; d < dimension_; ++d) {
        values(d, n) = inverse_at(d, static_cast<double>(x(d, n)));
      }
    });
  }

  std::vector<TransformTable> tables() const override {
    return {{"knot_counts", dimension_, 1, tables_.count},
            {"knot_values", quantile_knots, dimension_, tables_.value},
            {"knot_normals", quantile_knots, dimension_, tables_.normal},
            {"knot_slopes", quantile_knots, dimension_, tables_.slope}};
  }

 private:
  struct Column {
    std::span<const double> value, normal, slope;
    std::size_t last() const { return value.size() - 1; }
    RationalQuadraticBin<double> bin(std::size_t k) const {
      return {value[k],    value[k + 1] - value[k], normal[k], normal[k + 1] - normal[k], slope[k],
              slope[k + 1]};
    }
  };

  Column column(Index d) const {
    const auto count = static_cast<std::size_t>(tables_.count[static_cast<std::size_t>(d)]);
    const auto first = static_cast<std::size_t>(d * quantile_knots);
    return {{tables_.value.data() + first, count},
            {tables_.normal.data() + first, count},
            {tables_.slope.data() + first, count}};
  }

  static std::size_t bin_of(std::span<const double> knots, double at) {
    return static_cast<std::size_t>(std::ranges::upper_bound(knots, at) - knots.begin()) - 1;
  }

  RationalQuadraticPoint<double> forward_at(Index d, double value) const {
    const Column knots = column(d);
    const std::size_t last = knots.last();
    if (!(value > knots.value[0])) {
      return {knots.normal[0] + knots.slope[0] * (value - knots.value[0]), knots.slope[0]};
    }
    if (value >= knots.value[last]) {
      return {knots.normal[last] + knots.slope[last] * (value - knots.value[last]),
              knots.slope[last]};
    }
    return evaluate(knots.bin(bin_of(knots.value, value)), value);
  }

  double inverse_at(Index d, double normal) const {
    const Column knots = column(d);
    const std::size_t last = knots.last();
    if (!(normal > knots.normal[0])) {
      return knots.value[0] + (normal - knots.normal[0]) / knots.slope[0];
    }
    if (normal >= knots.normal[last]) {
      return knots.value[last] + (normal - knots.normal[last]) / knots.slope[last];
    }
    return invert(knots.bin(bin_of(knots.normal, normal)), normal);
  }

  Index dimension_;
  QuantileTables tables_;
};

}  // namespace

QuantileTables fit_quantiles(const Matrix<double>& sample) {
  QuantileTables tables;
  Index constant_columns = 0;
  const auto size = static_cast<std::size_t>(quantile_knots * sample.rows());
  tables.value.resize(size);
  tables.normal.resize(size);
  tables.slope.resize(size);
  for (Index d = 0; d < sample.rows(); ++d) {
    const Vector<double> row = sample.row(d);
    Knots knots = points_of({row.data(), row.data() + row.size()});
    add_slopes(knots);
    constant_columns += knots.value.size() == 1 ? 1 : 0;
    tables.count.push_back(static_cast<double>(knots.value.size()));
    std::ranges::copy(knots.value, tables.value.begin() + d * quantile_knots);
    std::ranges::copy(knots.normal, tables.normal.begin() + d * quantile_knots);
    std::ranges::copy(knots.slope, tables.slope.begin() + d * quantile_knots);
  }
  if (constant_columns > 0) {
    log_warning(fmt::format(
        "marginal: {} of {} dimensions are constant; they are shifted, not scaled. Their density "
        "has no meaning: leave them out of the data.",
        constant_columns, sample.rows()));
  }
  return tables;
}

template <class T>
std::unique_ptr<Transform<T>> make_quantile_marginal(QuantileTables tables) {
  for (const double count : tables.count) {
    if (!(count >= 1.0 && count <= static_cast<double>(quantile_knots))) {
      throw CheckpointError(fmt::format(
          "marginal: a dimension has {} knots, expected 1 to {}. Use another checkpoint.", count,
          quantile_knots));
    }
  }
  return std::make_unique<QuantileMarginal<T>>(std::move(tables));
}
template std::unique_ptr<Transform<float>> make_quantile_marginal(QuantileTables);
template std::unique_ptr<Transform<double>> make_quantile_marginal(QuantileTables);

}  // namespace relgrad
