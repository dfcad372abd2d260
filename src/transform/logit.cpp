#include <fmt/format.h>

#include <cmath>

#include "core/columns.hpp"
#include "relgrad/core/error.hpp"
#include "transform/kernels/transform_kernels.hpp"
#include "transform/maps.hpp"

namespace relgrad {

namespace {

template <class T>
class Logit final : public Transform<T> {
 public:
  Logit(Index dimension, double a) : dimension_(dimension), a_(a) {}
  TransformKind kind() const override { return TransformKind::logit; }
  Index dimension() const override { return dimension_; }

  void forward(const RawBatch& batch, const NoiseKey& noise, MatrixMap<T> x,
               std::span<double> log_slope) const override {
    check_transform_batch("logit", batch, ElementType::uint8, dimension_, x.rows(), x.cols());
    for_each_sample(dimension_, batch.count, [&](Index n) {
      const auto sample = static_cast<std::size_t>(n);
      const auto u = dequantization_noise<T>(noise, batch.sample_ids[sample], dimension_);
      log_slope[sample] +=
          kernels::logit_forward(batch.uint8_data() + n * dimension_, u.data(),
                                 x.data() + n * dimension_, dimension_, static_cast<T>(a_));
    });
  }

  // v = 256 (sigmoid(x) - a) / (1 - 2a)
  void inverse(const ConstMatrixMap<T>& x, MatrixMap<double> values) const override {
    const auto a = static_cast<double>(static_cast<T>(a_));
    for_each_sample(dimension_, x.cols(), [&](Index n) {
      for (Index d = 0; d < dimension_; ++d) {
        const double s = 1.0 / (1.0 + std::exp(-static_cast<double>(x(d, n))));
        values(d, n) = hold_in_levels(256.0 * (s - a) / (1.0 - 2.0 * a));
      }
    });
  }

 private:
  Index dimension_;
  double a_;
};

void check_logit_a(double a) {
  if (!(a > 0.0 && a < 0.5)) {
    throw UsageError(fmt::format(
        "logit: a is {}, must lie between 0 and 0.5, both excluded. Use 1e-6 or 0.05.", a));
  }
}

}  // namespace

template <class T>
std::unique_ptr<Transform<T>> make_logit(Index dimension, double a) {
  check_logit_a(a);
  return std::make_unique<Logit<T>>(dimension, a);
}
template std::unique_ptr<Transform<float>> make_logit(Index, double);
template std::unique_ptr<Transform<double>> make_logit(Index, double);

void add_logit_log_slope(const RawBatch& batch, const NoiseKey& noise, double logit_a,
                         std::span<double> log_slope) {
  check_logit_a(logit_a);
  check_transform_batch("add_logit_log_slope", batch, ElementType::uint8, batch.dimension,
                        batch.dimension, static_cast<Index>(log_slope.size()));
  for_each_sample(batch.dimension, batch.count, [&](Index n) {
    const auto sample = static_cast<std::size_t>(n);
    const auto u = dequantization_noise<double>(noise, batch.sample_ids[sample], batch.dimension);
    log_slope[sample] += kernels::logit_log_slope(batch.uint8_data() + n * batch.dimension,
                                                  u.data(), batch.dimension, logit_a);
  });
}

}  // namespace relgrad
