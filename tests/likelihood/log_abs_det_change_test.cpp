#include "likelihood/log_abs_det_change.hpp"

#include <gtest/gtest.h>

#include <Eigen/LU>
#include <cmath>
#include <limits>

#include "linalg/lu.hpp"
#include "support/central_differences.hpp"

namespace relgrad {
namespace {

using test::normal_matrix;
using test::view;

constexpr Index dimension = 11;

double log_abs_det(const Matrix<double>& w) { return LuFactors("w", view(w)).log_abs_det(); }

/// What rounding may do to log|det A| where the entries of A, and then their LU, are sums of
/// `terms` numbers of Frobenius norm `size` in all. With E the backward error, to first order
///   log|det(A + E)| - log|det A| = tr(A^-1 E) <= |A^-1|_F |E|_F,  |E|_F <= terms eps size
/// (Higham, Accuracy and Stability of Numerical Algorithms, section 14.6).
double rounding(const Matrix<double>& a, Index terms, double size) {
  constexpr double eps = std::numeric_limits<double>::epsilon();
  return eps * static_cast<double>(terms) * size * a.inverse().norm();
}

/// W' = growth W + step Delta Y^T W, and what its log|det| should be by LU.
void check(Index samples, double growth, double step) {
  const auto w = normal_matrix<double>(dimension, dimension, 1);
  const auto delta = normal_matrix<double>(dimension, samples, 2);
  const auto y = normal_matrix<double>(dimension, samples, 3);
  const Matrix<double> moved = growth * w + step * delta * (y.transpose() * w);

  const Matrix<double> inner = y.transpose() * delta;

  const double change = log_abs_det_change(dimension, growth, step, inner);

  // Each of the three matrices is summed and factorised.
  const Matrix<double> small = Matrix<double>::Identity(samples, samples) + (step / growth) * inner;
  const double outer = std::abs(step) * delta.norm() * y.norm();
  const Index terms = 2 * dimension + samples;
  const double tolerance =
      rounding(w, terms, w.norm()) + rounding(moved, terms, (std::abs(growth) + outer) * w.norm()) +
      rounding(small, terms, std::sqrt(static_cast<double>(samples)) + outer / std::abs(growth));
  EXPECT_NEAR(change, log_abs_det(moved) - log_abs_det(w), tolerance) << samples;
  EXPECT_LT(tolerance, 1e-6);
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
