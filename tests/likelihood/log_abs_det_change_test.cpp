#include "relgrad/likelihood/log_abs_det_change.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "relgrad/linalg/lu.hpp"
#include "support/central_differences.hpp"

namespace relgrad {
namespace {

using test::normal_matrix;
using test::view;

constexpr Index dimension = 11;

double log_abs_det(const Matrix<double>& w) { return LuFactors("w", view(w)).log_abs_det(); }

/// W' = growth W + step Delta Y^T W, and what its log|det| should be by LU.
void check(Index samples, double growth, double step) {
  const auto w = normal_matrix<double>(dimension, dimension, 1);
  const auto delta = normal_matrix<double>(dimension, samples, 2);
  const auto y = normal_matrix<double>(dimension, samples, 3);
  const Matrix<double> moved = growth * w + step * delta * (y.transpose() * w);

  const double change =
      log_abs_det_change(dimension, growth, step, Matrix<double>(y.transpose() * delta));

  // sums of ~10 logarithms of order 1 on each side, condition numbers below 1e3
  EXPECT_NEAR(change, log_abs_det(moved) - log_abs_det(w), 1e-11) << samples;
  EXPECT_EQ(std::isfinite(change), true);
}

TEST(LogAbsDetChange, EqualsTheDifferenceOfTwoFactorisations) {
  for (const Index samples : {1, 4, 11, 20}) check(samples, 1.03, 0.03);
}

TEST(LogAbsDetChange, HoldsForStepsThatAreNotSmall) {
  check(4, 0.5, 0.7);
  check(4, -0.5, 0.7);  // beyond a change of sign
}

TEST(LogAbsDetChange, OfNoSamplesIsThatOfTheGrowth) {
  EXPECT_NEAR(log_abs_det_change(dimension, 1.5, 0.1, Matrix<double>(0, 0)),
              dimension * std::log(1.5), 1e-14);
}

TEST(LogAbsDetChange, IsNotFiniteWhereTheStepIsNot) {
  Matrix<double> inner = Matrix<double>::Identity(3, 3);
  EXPECT_FALSE(std::isfinite(log_abs_det_change(dimension, 1.0, -1.0, inner)));  // singular
  inner(1, 2) = std::nan("");
  EXPECT_FALSE(std::isfinite(log_abs_det_change(dimension, 1.0, 0.1, inner)));
}

}  // namespace
}  // namespace relgrad
