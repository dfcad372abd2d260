#include "relgrad/optim/optimizer.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "relgrad/core/error.hpp"

namespace relgrad {
namespace {

/// 19 elements: more than a vector register and not a multiple of one.
struct Tile {
  std::vector<double> w, sum, matrix, m, v;
  Tile() {
    for (int i = 0; i < 19; ++i) {
      w.push_back(0.1 * i - 1.0);
      sum.push_back(std::sin(i));
      matrix.push_back(std::cos(i));
      m.push_back(0.01 * i);
      v.push_back(0.02 * i);
    }
  }
  UpdateTile<double> view() { return {w, sum, 0.5, matrix.data(), 2.0, m, v, true}; }
};

constexpr double samples = 4.0;
constexpr double lr = 0.1;

TEST(Optimizer, SgdAscendsTheMeanGradientWithItsPerSampleTerms) {
  Tile tile;
  const Tile before = tile;
  OptimizerOptions options{OptimizerKind::sgd};
  options.weight_decay = 0.01;

  Optimizer<double>(options).apply(tile.view(), 0, samples, lr);

  for (std::size_t i = 0; i < tile.w.size(); ++i) {
    const double w = before.w[i];
    const double g = before.sum[i] / samples + 0.5 * w + 2.0 * before.matrix[i];
    EXPECT_NEAR(tile.w[i], w + lr * g - lr * 0.01 * w, 1e-15);
  }
}

TEST(Optimizer, MomentumKeepsAVelocity) {
  Tile tile;
  const Tile before = tile;
  Optimizer<double>({OptimizerKind::momentum, 0.8}).apply(tile.view(), 0, samples, lr);
  for (std::size_t i = 0; i < tile.w.size(); ++i) {
    const double g = before.sum[i] / samples + 0.5 * before.w[i] + 2.0 * before.matrix[i];
    EXPECT_NEAR(tile.m[i], 0.8 * before.m[i] + g, 1e-15);
    EXPECT_NEAR(tile.w[i], before.w[i] + lr * tile.m[i], 1e-15);
  }
}

TEST(Optimizer, AdamIsAlgorithmOneOfKingmaAndBa) {
  Tile tile;
  const Tile before = tile;
  const std::int64_t step = 6;  // updates done before
  Optimizer<double>({OptimizerKind::adam}).apply(tile.view(), step, samples, lr);
  for (std::size_t i = 0; i < tile.w.size(); ++i) {
    const double g = before.sum[i] / samples + 0.5 * before.w[i] + 2.0 * before.matrix[i];
    const double m = 0.9 * before.m[i] + 0.1 * g;
    const double v = 0.999 * before.v[i] + 0.001 * g * g;
    const double m_hat = m / (1.0 - std::pow(0.9, 7));
    const double v_hat = v / (1.0 - std::pow(0.999, 7));
    EXPECT_NEAR(tile.m[i], m, 1e-15);
    EXPECT_NEAR(tile.v[i], v, 1e-15);
    EXPECT_NEAR(tile.w[i], before.w[i] + lr * m_hat / (std::sqrt(v_hat) + 1e-8), 1e-13);
  }
}

TEST(Optimizer, NaturalIsSgdWithAFactorForEachRowAndAdamElsewhere) {
  Tile tile;
  const Tile before = tile;
  tile.w.push_back(0.7);  // 4 columns of 5 rows
  tile.sum.push_back(-0.2);
  const std::vector<double> factor{1.0, 0.5, 2.0, 0.0, 3.0};
  UpdateTile<double> scaled = tile.view();
  scaled.matrix = nullptr;
  scaled.row_factor = factor.data();
  scaled.rows = factor.size();
  const Optimizer<double> natural({OptimizerKind::natural});

  natural.apply(scaled, 0, samples, lr);

  for (std::size_t i = 0; i < before.w.size(); ++i) {
    const double g = before.sum[i] / samples + 0.5 * factor[i % 5] * before.w[i];
    EXPECT_NEAR(tile.w[i], before.w[i] + lr * g, 1e-15);
  }
  EXPECT_FALSE(natural.weights_have_moments());

  Tile one;
  Tile other;
  natural.apply(one.view(), 3, samples, lr);
  Optimizer<double>({OptimizerKind::adam}).apply(other.view(), 3, samples, lr);
  EXPECT_EQ(one.w, other.w);
}

TEST(Optimizer, SaysHowManyMomentsItNeeds) {
  EXPECT_EQ(Optimizer<float>({OptimizerKind::sgd}).moment_count(), 0);
  EXPECT_EQ(Optimizer<float>({OptimizerKind::momentum}).moment_count(), 1);
  EXPECT_EQ(Optimizer<float>({OptimizerKind::adam}).moment_count(), 2);
  EXPECT_THROW(parse_optimizer_kind("lion"), UsageError);
}

}  // namespace
}  // namespace relgrad
