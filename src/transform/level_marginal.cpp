#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "core/columns.hpp"
#include "relgrad/core/error.hpp"
#include "transform/kernels/transform_kernels.hpp"
#include "transform/maps.hpp"

namespace relgrad {

namespace {

constexpr std::size_t levels = 256;

/// Smoothed distribution of one dimension over the levels: mass_v = (count_v + pseudo) / total.
struct LevelDistribution {
  std::array<double, levels> lower;  // mass of the levels below
  std::array<double, levels> upper;  // mass of the levels above
  std::array<double, levels> mass;
};

LevelDistribution distribution_of(const double* counts, double pseudo_count) {
  LevelDistribution result;
  double total = 0.0;
  for (std::size_t v = 0; v < levels; ++v) total += counts[v] + pseudo_count;
  for (std::size_t v = 0; v < levels; ++v) result.mass[v] = (counts[v] + pseudo_count) / total;
  // Summed from each end, so that both are accurate where they are small.
  double below = 0.0;
  double above = 0.0;
  for (std::size_t v = 0; v < levels; ++v) {
    result.lower[v] = below;
    below += result.mass[v];
    result.upper[levels - 1 - v] = above;
    above += result.mass[levels - 1 - v];
  }
  return result;
}

/// v + u with F(v + u) = Phi(x), looked up from the nearer side.
double value_at(const LevelDistribution& distribution, double x) {
  const double tail = 0.5 * std::erfc(std::abs(x) / std::numbers::sqrt2);
  if (x < 0.0) {
    const auto above = std::ranges::upper_bound(distribution.lower, tail);
    const auto v = static_cast<std::size_t>(above - distribution.lower.begin()) - 1;
    return static_cast<double>(v) + (tail - distribution.lower[v]) / distribution.mass[v];
  }
  const auto found =
      std::ranges::partition_point(distribution.upper, [&](double mass) { return mass > tail; });
  const auto v = static_cast<std::size_t>(found - distribution.upper.begin());
  return static_cast<double>(v + 1) - (tail - distribution.upper[v]) / distribution.mass[v];
}

template <class T>
class LevelMarginal final : public Transform<T> {
 public:
  LevelMarginal(std::vector<double> counts, Index dimension, double pseudo_count)
      : dimension_(dimension), counts_(std::move(counts)), pseudo_count_(pseudo_count) {
    entries_.resize(static_cast<std::size_t>(dimension_ * kernels::marginal_stride));
    for (Index d = 0; d < dimension_; ++d) {
      const LevelDistribution distribution = distribution_at(d);
      T* entry = entries_.data() + d * kernels::marginal_stride;
      for (std::size_t v = 0; v < levels; ++v, entry += kernels::marginal_entry_size) {
        entry[0] = static_cast<T>(distribution.lower[v]);
        entry[1] = static_cast<T>(distribution.upper[v]);
        entry[2] = static_cast<T>(distribution.mass[v]);
        entry[3] = static_cast<T>(std::log(distribution.mass[v]));
      }
    }
  }
  TransformKind kind() const override { return TransformKind::marginal; }
  Index dimension() const override { return dimension_; }

  void forward(const RawBatch& batch, const NoiseKey& noise, MatrixMap<T> x,
               std::span<double> log_slope) const override {
    check_transform_batch("marginal", batch, ElementType::uint8, dimension_, x.rows(), x.cols());
    for_each_sample(dimension_, batch.count, [&](Index n) {
      const auto sample = static_cast<std::size_t>(n);
      const auto u = dequantization_noise<T>(noise, batch.sample_ids[sample], dimension_);
      log_slope[sample] +=
          kernels::marginal_forward(batch.uint8_data() + n * dimension_, u.data(), entries_.data(),
                                    x.data() + n * dimension_, dimension_);
    });
  }

  void inverse(const ConstMatrixMap<T>& x, MatrixMap<double> values) const override {
    for_each_sample(x.cols(), dimension_, [&](Index d) {
      const LevelDistribution distribution = distribution_at(d);
      for (Index n = 0; n < x.cols(); ++n) {
        values(d, n) = hold_in_levels(value_at(distribution, static_cast<double>(x(d, n))));
      }
    });
  }

  std::vector<TransformTable> tables() const override {
    return {{"cdf_counts", static_cast<Index>(levels), dimension_, counts_}};
  }

 private:
  LevelDistribution distribution_at(Index d) const {
    return distribution_of(counts_.data() + static_cast<std::size_t>(d) * levels, pseudo_count_);
  }

  Index dimension_;
  std::vector<double> counts_;
  double pseudo_count_;
  std::vector<T> entries_;  // of a level: mass below, mass above, mass, log mass
};

}  // namespace

template <class T>
std::unique_ptr<Transform<T>> make_level_marginal(std::vector<double> counts, Index dimension,
                                                  double pseudo_count) {
  if (!(pseudo_count > 0.0)) {
    throw UsageError(
        fmt::format("marginal: pseudo-count is {}, must be positive. Use 0.1.", pseudo_count));
  }
  return std::make_unique<LevelMarginal<T>>(std::move(counts), dimension, pseudo_count);
}
template std::unique_ptr<Transform<float>> make_level_marginal(std::vector<double>, Index, double);
template std::unique_ptr<Transform<double>> make_level_marginal(std::vector<double>, Index, double);

}  // namespace relgrad
