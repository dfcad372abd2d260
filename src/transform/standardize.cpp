#include <fmt/format.h>

#include <cmath>

#include "core/columns.hpp"
#include "relgrad/core/error.hpp"
#include "transform/kernels/transform_kernels.hpp"
#include "transform/maps.hpp"

namespace relgrad {

namespace {

template <class T>
class Standardize final : public Transform<T> {
 public:
  Standardize(TransformKind kind, ElementType type, std::vector<double> mean,
              std::vector<double> deviation)
      : kind_(kind),
        type_(type),
        dimension_(static_cast<Index>(mean.size())),
        mean_(std::move(mean)),
        deviation_(std::move(deviation)),
        mean_here_(mean_.begin(), mean_.end()) {
    for (const double value : deviation_) {
      inverse_deviation_.push_back(static_cast<T>(1.0 / value));
      log_slope_ -= std::log(value);
    }
  }
  TransformKind kind() const override { return kind_; }
  Index dimension() const override { return dimension_; }

  void forward(const RawBatch& batch, const NoiseKey& noise, MatrixMap<T> x,
               std::span<double> log_slope) const override {
    check_transform_batch(name_of(kind_), batch, type_, dimension_, x.rows(), x.cols());
    for_each_sample(dimension_, batch.count, [&](Index n) {
      const auto sample = static_cast<std::size_t>(n);
      T* column = x.data() + n * dimension_;
      if (type_ == ElementType::uint8) {
        const auto u = dequantization_noise<T>(noise, batch.sample_ids[sample], dimension_);
        kernels::standardize_forward(batch.uint8_data() + n * dimension_, u.data(),
                                     mean_here_.data(), inverse_deviation_.data(), column,
                                     dimension_);
      } else {
        scale_real(batch.float32_data() + n * dimension_, column);
      }
      log_slope[sample] += log_slope_;
    });
  }

  void inverse(const ConstMatrixMap<T>& x, MatrixMap<double> values) const override {
    for_each_sample(dimension_, x.cols(), [&](Index n) {
      for (Index d = 0; d < dimension_; ++d) {
        const auto at = static_cast<std::size_t>(d);
        const double value = mean_[at] + deviation_[at] * static_cast<double>(x(d, n));
        values(d, n) = type_ == ElementType::uint8 ? hold_in_levels(value) : value;
      }
    });
  }

  std::vector<TransformTable> tables() const override {
    if (kind_ == TransformKind::none) return {};
    return {{"mean", dimension_, 1, mean_}, {"standard_deviation", dimension_, 1, deviation_}};
  }

 private:
  void scale_real(const float* values, T* column) const {
    for (Index d = 0; d < dimension_; ++d) {
      const auto at = static_cast<std::size_t>(d);
      column[d] = static_cast<T>((static_cast<double>(values[d]) - mean_[at]) / deviation_[at]);
    }
  }

  TransformKind kind_;
  ElementType type_;
  Index dimension_;
  std::vector<double> mean_;
  std::vector<double> deviation_;
  std::vector<T> mean_here_;
  std::vector<T> inverse_deviation_;
  double log_slope_ = 0.0;  // of every sample: -sum_d log deviation_d
};

}  // namespace

// Of v + u with u ~ U(0, 1): mean E[v] + 1/2, variance Var[v] + 1/12, so a constant pixel is no
// trouble.
MeanAndDeviation moments_of(const LevelCounts& counts) {
  MeanAndDeviation moments;
  for (Index d = 0; d < counts.dimension; ++d) {
    double total = 0.0;
    double sum = 0.0;
    double squares = 0.0;
    for (Index level = 0; level < 256; ++level) {
      const auto count =
          static_cast<double>(counts.counts[static_cast<std::size_t>(256 * d + level)]);
      const auto value = static_cast<double>(level);
      total += count;
      sum += count * value;
      squares += count * value * value;
    }
    const double mean = sum / total;
    moments.mean.push_back(mean + 0.5);
    moments.deviation.push_back(
        std::sqrt(std::max(squares / total - mean * mean, 0.0) + 1.0 / 12.0));
  }
  return moments;
}

MeanAndDeviation moments_of(const Matrix<double>& sample) {
  MeanAndDeviation moments;
  Index constant_columns = 0;
  for (Index d = 0; d < sample.rows(); ++d) {
    const double mean = sample.row(d).mean();
    const double variance = (sample.row(d).array() - mean).square().mean();
    // Rounding alone leaves a constant column a spread of this size.
    const bool is_constant = !(variance > 1e-24 * (mean * mean + 1e-300));
    constant_columns += is_constant ? 1 : 0;
    moments.mean.push_back(mean);
    moments.deviation.push_back(is_constant ? 1.0 : std::sqrt(variance));
  }
  warn_of_constant_dimensions("standardize", constant_columns, sample.rows());
  return moments;
}

template <class T>
std::unique_ptr<Transform<T>> make_standardize(TransformKind kind, ElementType type,
                                               std::vector<double> mean,
                                               std::vector<double> deviation) {
  for (const double value : deviation) {
    if (!(value > 0.0)) {
      throw CheckpointError(fmt::format(
          "standardize: a standard deviation is {}, must be positive. Use another checkpoint.",
          value));
    }
  }
  return std::make_unique<Standardize<T>>(kind, type, std::move(mean), std::move(deviation));
}
template std::unique_ptr<Transform<float>> make_standardize(TransformKind, ElementType,
                                                            std::vector<double>,
                                                            std::vector<double>);
template std::unique_ptr<Transform<double>> make_standardize(TransformKind, ElementType,
                                                             std::vector<double>,
                                                             std::vector<double>);

}  // namespace relgrad
