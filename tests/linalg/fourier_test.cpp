#include "linalg/fourier.hpp"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "relgrad/core/error.hpp"
#include "support/central_differences.hpp"

namespace relgrad {
namespace {

using test::normal_matrix;

struct PlaneShape {
  Index height;
  Index width;
};
constexpr PlaneShape shapes[] = {{1, 1}, {1, 6}, {5, 1}, {2, 2}, {4, 7}, {7, 4}, {28, 28}, {12, 9}};

/// One axis of the orthonormal DCT-II written out.
Matrix<double> cosine_matrix(Index n) {
  Matrix<double> result(n, n);
  for (Index k = 0; k < n; ++k) {
    const double c = std::sqrt((k == 0 ? 1.0 : 2.0) / static_cast<double>(n));
    for (Index j = 0; j < n; ++j) {
      const double at = (static_cast<double>(j) + 0.5) / static_cast<double>(n);
      result(k, j) = c * std::cos(std::numbers::pi * static_cast<double>(k) * at);
    }
  }
  return result;
}

/// Plane number `plane` as a matrix of W x H, whose columns are the plane's rows.
Matrix<double> plane_of(const Matrix<double>& planes, Index plane, PlaneShape shape) {
  return planes.col(plane).reshaped(shape.width, shape.height);
}

TEST(CosineTransform, IsTheProductWithTheCosineMatricesOfBothAxes) {
  for (const PlaneShape shape : shapes) {
    SCOPED_TRACE(testing::Message() << shape.height << " x " << shape.width << ", seed 1");
    const Matrix<double> x = normal_matrix<double>(shape.height * shape.width, 3, /*seed=*/1);
    Matrix<double> y(x.rows(), x.cols());
    Matrix<double> back(x.rows(), x.cols());

    const CosineTransform<double> transform(shape.height, shape.width);
    transform.forward(x.data(), y.data(), x.cols());
    transform.inverse(y.data(), back.data(), x.cols());

    for (Index plane = 0; plane < x.cols(); ++plane) {
      const Matrix<double> expected = cosine_matrix(shape.width) * plane_of(x, plane, shape) *
                                      cosine_matrix(shape.height).transpose();
      EXPECT_LE((plane_of(y, plane, shape) - expected).cwiseAbs().maxCoeff(), 1e-13);
    }
    EXPECT_LE((back - x).cwiseAbs().maxCoeff(), 1e-14);
  }
}

// Rounding of a fast transform grows like log2(HW) times epsilon, relative to the plane's norm.
TEST(CosineTransform, InSinglePrecisionIsThatInDoubleUpToRounding) {
  const Index size = 28 * 28;
  const Matrix<double> x = normal_matrix<double>(size, 5, /*seed=*/2);
  const Matrix<float> x_single = x.cast<float>();
  Matrix<double> y(size, 5);
  Matrix<float> y_single(size, 5);

  CosineTransform<double>(28, 28).forward(x.data(), y.data(), 5);
  CosineTransform<float>(28, 28).forward(x_single.data(), y_single.data(), 5);

  const double tolerance = std::log2(size) * std::numeric_limits<float>::epsilon() * 4.0;
  EXPECT_LE((y_single.cast<double>() - y).norm(), tolerance * y.norm());
}

// Planes of 4 x 7 floats lie at odd addresses; batch and threads must not change a plane's bits.
TEST(CosineTransform, OfAPlaneDoesNotDependOnItsPlaceInPlaceOrThreads) {
  const Index size = 4 * 7;
  const Index count = 2000;
  const CosineTransform<float> transform(4, 7);
  const Matrix<float> one = normal_matrix<float>(size, 1, /*seed=*/3);
  Matrix<float> expected(size, 1);
  transform.forward(one.data(), expected.data(), 1);

  const int threads = omp_get_max_threads();
  for (const int used : {1, 3}) {
    omp_set_num_threads(used);
    std::vector<float> many(static_cast<std::size_t>(size * count + 1));
    for (Index i = 0; i < size * count; ++i) many[static_cast<std::size_t>(i + 1)] = one(i % size);
    transform.forward(many.data() + 1, many.data() + 1, count);
    for (Index i = 0; i < size * count; ++i) {
      ASSERT_EQ(many[static_cast<std::size_t>(i + 1)], expected(i % size));
    }
  }
  omp_set_num_threads(threads);
}

TEST(FourierTransform, IsTheSumOfItsDefinitionAndIsUndone) {
  for (const PlaneShape shape : shapes) {
    SCOPED_TRACE(testing::Message() << shape.height << " x " << shape.width << ", seed 4");
    const Matrix<double> x = normal_matrix<double>(shape.height * shape.width, 2, /*seed=*/4);
    const FourierTransform<double> transform(shape.height, shape.width);
    const Index frequencies = transform.frequencies();
    ASSERT_EQ(frequencies, shape.height * (shape.width / 2 + 1));
    Matrix<std::complex<double>> y(frequencies, 2);
    Matrix<double> back(x.rows(), 2);

    transform.forward(x.data(), y.data(), 2);
    transform.inverse(y.data(), back.data(), 2);

    EXPECT_LE((back - x).cwiseAbs().maxCoeff(), 1e-14);
    Index total = 0;
    for (Index f = 0; f < frequencies; ++f) {
      total += transform.multiplicity(f);
      const Index u = f / (shape.width / 2 + 1);
      const Index v = f % (shape.width / 2 + 1);
      std::complex<double> expected = 0.0;
      for (Index k = 0; k < x.rows(); ++k) {
        const double turns =
            static_cast<double>(u * (k / shape.width)) / static_cast<double>(shape.height) +
            static_cast<double>(v * (k % shape.width)) / static_cast<double>(shape.width);
        expected += x(k, 1) * std::polar(1.0, -2.0 * std::numbers::pi * turns);
      }
      EXPECT_LE(std::abs(y(f, 1) - expected), 1e-12);
    }
    EXPECT_EQ(total, shape.height * shape.width);
  }
}

TEST(FourierTransform, PlanesWithoutNumbersAreRefused) {
  EXPECT_THROW(FourierTransform<float>(0, 4), UsageError);
  EXPECT_THROW(CosineTransform<float>(4, 0), UsageError);
}

}  // namespace
}  // namespace relgrad
