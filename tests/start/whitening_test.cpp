#include "start/whitening.hpp"

#include <gtest/gtest.h>

#include <Eigen/Eigenvalues>

#include "support/central_differences.hpp"

namespace relgrad {
namespace {

using test::normal_matrix;

/// Correlated samples with a mean.
Matrix<double> samples(Index dimension, Index count) {
  const Matrix<double> mix = normal_matrix<double>(dimension, dimension, 3);
  Matrix<double> x = mix * normal_matrix<double>(dimension, count, 4);
  x.colwise() += normal_matrix<double>(dimension, 1, 5, 3.0).col(0);
  return x;
}

/// C_t^{-1/2} S^-1 from the columns that Whitening fits to: all but each tenth, of 20 and more.
Matrix<double> by_hand(const Matrix<double>& x, double shrinkage) {
  const Index dimension = x.rows();
  const Index held_out = x.cols() < 20 ? 0 : x.cols() / 10;
  Matrix<double> z(dimension, x.cols() - held_out);
  for (Index i = 0, column = 0; i < x.cols(); ++i) {
    if (i % 10 != 0 || i / 10 >= held_out) z.col(column++) = x.col(i);
  }
  z.colwise() -= Vector<double>(z.rowwise().mean());
  const auto n = static_cast<double>(z.cols());
  const Vector<double> deviation = (z.rowwise().squaredNorm() / n).cwiseSqrt();
  z.array().colwise() /= deviation.array();
  const Matrix<double> shrunk = (1 - shrinkage) / n * (z * z.transpose()) +
                                shrinkage * Matrix<double>::Identity(dimension, dimension);
  const Eigen::SelfAdjointEigenSolver<Matrix<double>> eigen(shrunk);
  return eigen.operatorInverseSqrt() * deviation.cwiseInverse().asDiagonal();
}

TEST(Whitening, IsTheInverseRootOfTheShrunkCorrelationsWithManySamplesOrFew) {
  for (const Index count : {400, 12, 25}) {
    SCOPED_TRACE(count);
    const Matrix<double> x = samples(30, count);
    const Whitening whitening(x);
    const Matrix<double> found = whitening.weight_columns(0, 30);

    const Matrix<double> expected = by_hand(x, whitening.shrinkage());
    EXPECT_LE((found - expected).cwiseAbs().maxCoeff(), 1e-8 * expected.cwiseAbs().maxCoeff());
    EXPECT_LE((whitening.weight_columns(7, 9) - found.middleCols(7, 2)).cwiseAbs().maxCoeff(),
              1e-10 * found.cwiseAbs().maxCoeff());
  }
}

TEST(Whitening, OutputsHaveMeanZeroAndAlmostNoCorrelationOfManySamples) {
  const Matrix<double> x = samples(6, 20000);
  const Whitening whitening(x);

  const Matrix<double> y = (whitening.weight_columns(0, 6) * x).colwise() + whitening.bias();

  EXPECT_LE(whitening.shrinkage(), 1e-3);
  // Fitted to nine tenths: what is left is the noise of 2000 samples among 20000.
  EXPECT_LE(y.rowwise().mean().cwiseAbs().maxCoeff(), 0.02);
  EXPECT_LE((y * y.transpose() / 20000 - Matrix<double>::Identity(6, 6)).cwiseAbs().maxCoeff(),
            0.05);
}

TEST(Whitening, ShrinksMoreWhenSamplesAreFew) {
  EXPECT_GE(Whitening(normal_matrix<double>(50, 60, 8)).shrinkage(), 0.4);
}

}  // namespace
}  // namespace relgrad
