#include "linalg/banded_lu.hpp"

#include <gtest/gtest.h>

#include <Eigen/LU>
#include <cmath>
#include <complex>
#include <limits>

#include "linalg/invert.hpp"
#include "relgrad/core/error.hpp"
#include "support/central_differences.hpp"

namespace relgrad {
namespace {

TEST(BandedLuFactors, GiveLogAbsDetAndSolutionsOfTheFullMatrix) {
  struct Band {
    Index size, lower, upper;
  };
  for (const Band band : {Band{1, 0, 0}, Band{5, 1, 2}, Band{40, 7, 3}, Band{90, 40, 40}}) {
    SCOPED_TRACE(testing::Message() << band.size << ", band " << band.lower << " + " << band.upper);
    Matrix<double> full = test::normal_matrix<double>(band.size, band.size, /*seed=*/5);
    BandedMatrix banded(band.size, band.lower, band.upper);
    for (Index j = 0; j < band.size; ++j) {
      for (Index i = 0; i < band.size; ++i) {
        if (i - j > band.lower || j - i > band.upper) {
          full(i, j) = 0.0;
        } else {
          banded(i, j) = full(i, j);
        }
      }
    }
    const Eigen::PartialPivLU<Matrix<double>> expected(full);
    const BandedLuFactors factors("a", banded);
    EXPECT_NEAR(factors.log_abs_det(), expected.matrixLU().diagonal().array().abs().log().sum(),
                1e-10);
    const Matrix<double> b = test::normal_matrix<double>(band.size, 3, /*seed=*/6);
    Matrix<double> x = b;
    factors.solve_in_place(test::view(x));
    EXPECT_LE((full * x - b).cwiseAbs().maxCoeff(), 1e-10 * x.cwiseAbs().maxCoeff());
  }
}

TEST(BandedLuFactors, NameTheMatrixThatIsSingularOrNotFinite) {
  const auto message = [](double entry) {
    BandedMatrix a(4, 1, 1);
    for (Index i = 0; i < 4; ++i) a(i, i) = i == 2 ? entry : 1.0;
    try {
      BandedLuFactors("layer/3/w", a);
    } catch (const DivergedError& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_NE(message(0.0).find("layer/3/w: pivot 3"), std::string::npos);
  EXPECT_NE(message(std::numeric_limits<double>::infinity()).find("not finite"), std::string::npos);
}

template <class T>
void expect_inverse(const Matrix<T>& a) {
  Matrix<T> inverse = a;
  Inverter<T> inverter(a.rows() + 2);  // made for larger ones
  const double log_abs_det = inverter.invert("a", a.rows(), inverse.data());
  using Real = typename Eigen::NumTraits<T>::Real;
  const double tolerance = 1e4 * static_cast<double>(std::numeric_limits<Real>::epsilon());
  EXPECT_NEAR(log_abs_det, std::log(static_cast<double>(std::abs(a.determinant()))), tolerance);
  EXPECT_LE((a * inverse - Matrix<T>::Identity(a.rows(), a.rows())).cwiseAbs().maxCoeff(),
            tolerance);
}

TEST(Inverter, GivesTheInverseAndLogAbsDetOfRealAndComplexMatrices) {
  const Matrix<double> real = test::normal_matrix<double>(7, 7, /*seed=*/7);
  Matrix<std::complex<double>> complex(7, 7);
  complex.real() = real;
  complex.imag() = test::normal_matrix<double>(7, 7, /*seed=*/8);
  expect_inverse(real);
  expect_inverse(complex);
  expect_inverse(Matrix<float>(real.cast<float>()));
  expect_inverse(Matrix<std::complex<float>>(complex.cast<std::complex<float>>()));
}

TEST(Inverter, NamesTheMatrixThatIsSingular) {
  Matrix<std::complex<double>> zero = Matrix<std::complex<double>>::Zero(2, 2);
  Inverter<std::complex<double>> inverter(2);
  try {
    inverter.invert("layer/1/w", 2, zero.data());
    FAIL();
  } catch (const DivergedError& error) {
    EXPECT_NE(std::string(error.what()).find("layer/1/w"), std::string::npos);
  }
}

}  // namespace
}  // namespace relgrad
