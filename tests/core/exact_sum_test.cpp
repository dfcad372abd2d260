#include "relgrad/core/exact_sum.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

namespace relgrad {
namespace {

// The worst case allowed: as many terms as the grid was made for, some at the limit.
TEST(ExactGrid, SumsHaveTheSameBitsInEveryOrder) {
  constexpr std::int64_t count = 1000;
  const ExactGrid grid(14, count);
  std::mt19937 engine(7);
  std::normal_distribution<double> small(0.0, 1e-3);
  std::vector<double> terms(count);
  for (double& term : terms) {
    term = grid.round(engine() % 10 == 0 ? 1e9 : small(engine));
  }
  const double sum = std::accumulate(terms.begin(), terms.end(), 0.0);
  for (int i = 0; i < 20; ++i) {
    std::ranges::shuffle(terms, engine);
    const auto half = terms.begin() + 300;
    EXPECT_EQ(std::accumulate(terms.begin(), half, 0.0) + std::accumulate(half, terms.end(), 0.0),
              sum);
  }
  // Without rounding the order shows: the test can fail.
  for (double& term : terms) term = small(engine);
  const double forth = std::accumulate(terms.begin(), terms.end(), 0.0);
  const double back = std::accumulate(terms.rbegin(), terms.rend(), 0.0);
  EXPECT_NE(forth, back);
}

TEST(ExactGrid, RoundsToItsStepAndHoldsAtItsLimit) {
  const ExactGrid grid(14, 100);  // 2^(14 + 7 - 51)
  const double step = std::ldexp(1.0, -30);
  EXPECT_EQ(grid.round(0.3 * step), 0.0);
  EXPECT_EQ(grid.round(0.7 * step), step);
  EXPECT_EQ(grid.round(-12345.678901 * step), -12346.0 * step);
  EXPECT_NEAR(grid.round(0.1234567), 0.1234567, 0.5 * step);
  EXPECT_EQ(grid.round(1e300), 16384.0);
  EXPECT_EQ(grid.round(-1e300), -16384.0);
  EXPECT_TRUE(std::isnan(grid.round(std::numeric_limits<double>::quiet_NaN())));
}

}  // namespace
}  // namespace relgrad
