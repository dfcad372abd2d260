#include "convolution/exact_convolution.hpp"

#include <gtest/gtest.h>

#include <Eigen/LU>
#include <Eigen/SVD>
#include <cmath>
#include <limits>

#include "convolution/convolution_matrix.hpp"
#include "convolution/row_recursion.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {
namespace {

using test::const_view;
using test::convolution_matrix;
using test::normal_matrix;
using test::normal_numbers;
using test::view;

constexpr std::uint64_t seed = 30;

const Products& products() {
  static const Products result(ProductBackend::openblas);
  return result;
}

/// The identity plus noise: well conditioned, as at the start of training.
std::vector<double> near_identity(const ConvolutionShape& shape, double noise) {
  std::vector<double> weights = normal_numbers<double>(shape.weights(), seed, noise);
  const Index square = shape.taps * shape.taps;
  for (Index c = 0; c < shape.channels_in; ++c) {
    weights[static_cast<std::size_t>((c * shape.channels_in + c) * square + square / 2)] += 1.0;
  }
  return weights;
}

/// Planes that are not square, of one row or column, and rows that k = 5 and 7 take in pairs and
/// triples with a rest.
std::vector<ConvolutionShape> shapes(Padding padding) {
  std::vector<ConvolutionShape> result;
  for (const Index taps : {1, 3, 5, 7}) {
    for (const Index channels : {1, 2, 3, 4}) {
      result.push_back({channels, channels, 7, 5, taps, padding});
    }
    result.push_back({2, 2, 4, 6, taps, padding});
    result.push_back({2, 2, 1, 5, taps, padding});
    result.push_back({3, 3, 6, 1, taps, padding});
    result.push_back({1, 1, 1, 1, taps, padding});
  }
  return result;
}

std::string name_of(const ConvolutionShape& shape) {
  return testing::PrintToString(shape.channels_in) + " channels, " +
         testing::PrintToString(shape.height) + " x " + testing::PrintToString(shape.width) +
         ", k " + testing::PrintToString(shape.taps) + ", seed 30";
}

double log_abs_det_of(const Eigen::PartialPivLU<Matrix<double>>& lu) {
  return lu.matrixLU().diagonal().array().abs().log().sum();
}

void expect_agreement_with_the_dense_matrix(Padding padding) {
  for (const ConvolutionShape& shape : shapes(padding)) {
    SCOPED_TRACE(name_of(shape));
    const std::vector<double> weights =
        near_identity(shape, 0.3 / static_cast<double>(shape.taps * shape.channels_in));
    const Matrix<double> matrix = convolution_matrix(shape, weights);
    const Eigen::PartialPivLU<Matrix<double>> lu(matrix);
    // d log|det T| / dT = T^{-T}
    const std::vector<double> expected =
        test::sums_along_taps(shape, Matrix<double>(lu.inverse().transpose()));

    ConvolutionLogAbsDet<double> log_abs_det("layer/0", shape);
    std::vector<double> gradient(weights.size(), NAN);
    for (int repeat = 0; repeat < 2; ++repeat) {  // what is kept from call to call does no harm
      EXPECT_NEAR(log_abs_det.evaluate("layer/0/w", weights, products(), gradient),
                  log_abs_det_of(lu), 1e-11);
    }
    for (std::size_t i = 0; i < weights.size(); ++i) {
      ASSERT_NEAR(gradient[i], expected[i], 1e-10 * (1.0 + std::abs(expected[i])))
          << "weight " << i;
    }

    const ConvolutionFactors factors("layer/0/w", shape, std::span<const double>(weights));
    EXPECT_NEAR(factors.log_abs_det(), log_abs_det_of(lu), 1e-11);
    const std::vector<double> bias = normal_numbers<double>(shape.channels_out, seed + 1);
    const Matrix<double> x = normal_matrix<double>(shape.inputs(), 70, seed + 2);
    Matrix<double> y = matrix * x;
    for (Index o = 0; o < shape.channels_out; ++o) {
      y.middleRows(o * shape.positions(), shape.positions()).array() +=
          bias[static_cast<std::size_t>(o)];
    }
    factors.solve<double>(bias, const_view(y), view(y));
    EXPECT_LE((y - x).cwiseAbs().maxCoeff(), 1e-11);
  }
}

TEST(ExactConvolution, PaddedByZerosAgreesWithTheDenseMatrix) {
  expect_agreement_with_the_dense_matrix(Padding::zero);
}

TEST(ExactConvolution, CircularAgreesWithTheDenseMatrix) {
  expect_agreement_with_the_dense_matrix(Padding::circular);
}

TEST(ExactConvolution, GradientAgreesWithCentralDifferences) {
  for (const Padding padding : {Padding::zero, Padding::circular}) {
    const ConvolutionShape shape{2, 2, 5, 4, 3, padding};
    std::vector<double> weights = near_identity(shape, 0.1);
    ConvolutionLogAbsDet<double> log_abs_det("layer/0", shape);
    std::vector<double> gradient(weights.size());
    std::vector<double> ignored(weights.size());
    log_abs_det.evaluate("layer/0/w", weights, products(), gradient);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const auto expected = test::central_difference(
          [&] { return log_abs_det.evaluate("layer/0/w", weights, products(), ignored); },
          weights[i]);
      EXPECT_NEAR(gradient[i], expected.value, expected.error + 1e-9) << "weight " << i;
    }
  }
}

// Each of the D numbers of the diagonal of U, and each entry of T^{-1}, has a relative error of
// rounding times the condition of T, at worst, and blocks count as converged 16 roundings early.
TEST(ExactConvolution, InSinglePrecisionIsThatInDoubleUpToRounding) {
  for (const Padding padding : {Padding::zero, Padding::circular}) {
    const ConvolutionShape shape{3, 3, 7, 5, 3, padding};
    const std::vector<double> drawn = near_identity(shape, 0.1);
    const std::vector<float> single(drawn.begin(), drawn.end());
    const std::vector<double> weights(single.begin(), single.end());
    const Matrix<double> matrix = convolution_matrix(shape, weights);
    const Vector<double> singular = matrix.jacobiSvd().singularValues();
    const double condition = singular.maxCoeff() / singular.minCoeff();
    std::vector<double> expected(weights.size());
    std::vector<float> gradient(weights.size());

    const double expected_log_abs_det =
        ConvolutionLogAbsDet<double>("layer/0", shape).evaluate("w", weights, products(), expected);
    const double log_abs_det =
        ConvolutionLogAbsDet<float>("layer/0", shape).evaluate("w", single, products(), gradient);

    const double tolerance =
        std::numeric_limits<float>::epsilon() * condition * static_cast<double>(shape.inputs());
    EXPECT_NEAR(log_abs_det, expected_log_abs_det, tolerance);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      EXPECT_NEAR(static_cast<double>(gradient[i]), expected[i], tolerance);
    }
  }
}

// Taps above and below, next to nothing in their own row: T is a product of good condition and a
// permutation, but the blocks of its diagonal are (nearly) singular.
TEST(ExactConvolution, SolvesWhereTheBlocksOfTheDiagonalAreSingular) {
  for (const double own : {0.0, 1e-13, 1e-7}) {
    const ConvolutionShape shape{1, 1, 6, 5, 3, Padding::zero};
    std::vector<double> weights(9, 0.0);
    weights[1] = 1.0;
    weights[4] = own;
    weights[7] = 2.0;
    const ConvolutionFactors factors("w", shape, std::span<const double>(weights));
    const Matrix<double> matrix = convolution_matrix(shape, weights);
    EXPECT_NEAR(factors.log_abs_det(), log_abs_det_of(matrix.partialPivLu()), 1e-12);
    const Matrix<double> x = normal_matrix<double>(shape.inputs(), 3, seed);
    Matrix<double> y = matrix * x;
    factors.solve<double>({}, const_view(y), view(y));
    EXPECT_LE((y - x).cwiseAbs().maxCoeff(), 1e-12) << "own tap " << own;
  }
}

TEST(RowRecursion, StopsWhereBlocksNoLongerChangeAndGivesTheSame) {
  for (const Index taps : {3, 5}) {
    const ConvolutionShape shape{2, 2, 47, 6, taps, Padding::zero};
    SCOPED_TRACE(name_of(shape));
    const std::vector<double> weights = near_identity(shape, 0.04);
    std::vector<double> gradient(weights.size());
    std::vector<double> expected(weights.size());
    RowRecursion<double> stopping(shape);
    RowRecursion<double> full(shape);
    full.set_tolerance(0.0);

    const double log_abs_det = stopping.factor("w", weights, products());
    stopping.gradient(products(), gradient);
    const double expected_log_abs_det = full.factor("w", weights, products());
    full.gradient(products(), expected);

    EXPECT_EQ(full.computed_blocks(), full.upper_blocks());
    EXPECT_LT(stopping.computed_blocks(), full.upper_blocks() / 2);
    EXPECT_NEAR(log_abs_det, expected_log_abs_det, 1e-10);
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      EXPECT_NEAR(gradient[i], expected[i], 1e-10 * (1.0 + std::abs(expected[i])));
    }
  }
}

TEST(ExactConvolution, NamesTheLayerThatIsSingularOrNotFinite) {
  for (const Padding padding : {Padding::zero, Padding::circular}) {
    const ConvolutionShape shape{2, 2, 4, 5, 3, padding};
    const auto message = [&](double weight) {
      const std::vector<double> weights(static_cast<std::size_t>(shape.weights()), weight);
      std::vector<double> gradient(weights.size());
      std::string text;
      try {
        ConvolutionLogAbsDet<double>("layer/4", shape)
            .evaluate("layer/4/w", weights, products(), gradient);
      } catch (const DivergedError& error) {
        text = error.what();
      }
      try {
        ConvolutionFactors("layer/4/w", shape, std::span<const double>(weights));
      } catch (const DivergedError& error) {
        EXPECT_EQ(error.what(), text);
      }
      return text;
    };
    EXPECT_NE(message(0.0).find("layer/4/w: pivot 1 is zero"), std::string::npos);
    EXPECT_NE(message(NAN).find("layer/4/w: an entry is not finite"), std::string::npos);
  }
}

TEST(ExactConvolution, RefusesDifferentChannelsInAndOut) {
  EXPECT_THROW(ConvolutionLogAbsDet<float>("layer/4", {1, 2, 4, 4, 3, Padding::zero}), UsageError);
}

}  // namespace
}  // namespace relgrad
