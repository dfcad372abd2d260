// The marginal of real data: a spline a column (quantile_knots.hpp).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/columns.hpp"
#include "core/rational_quadratic.hpp"
#include "relgrad/core/error.hpp"
#include "transform/maps.hpp"
#include "transform/quantile_knots.hpp"

namespace relgrad {

namespace {

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
        const auto point = column(d).forward(static_cast<double>(values[d]));
        x(d, n) = static_cast<T>(point.value);
        sum += std::log(point.slope);
      }
      log_slope[static_cast<std::size_t>(n)] += sum;
    });
  }

  void inverse(const ConstMatrixMap<T>& x, MatrixMap<double> values) const override {
    for_each_sample(dimension_, x.cols(), [&](Index n) {
      for (Index d = 0; d < dimension_; ++d) {
        values(d, n) = column(d).inverse(static_cast<double>(x(d, n)));
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
  KnotsView column(Index d) const {
    const auto count = static_cast<std::size_t>(tables_.count[static_cast<std::size_t>(d)]);
    const auto first = static_cast<std::size_t>(d * quantile_knots);
    return {{tables_.value.data() + first, count},
            {tables_.normal.data() + first, count},
            {tables_.slope.data() + first, count}};
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
    const Knots knots = fit_knots({row.data(), row.data() + row.size()});
    constant_columns += knots.value.size() == 1 ? 1 : 0;
    tables.count.push_back(static_cast<double>(knots.value.size()));
    std::ranges::copy(knots.value, tables.value.begin() + d * quantile_knots);
    std::ranges::copy(knots.normal, tables.normal.begin() + d * quantile_knots);
    std::ranges::copy(knots.slope, tables.slope.begin() + d * quantile_knots);
  }
  warn_of_constant_dimensions("marginal", constant_columns, sample.rows());
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
