#include "linalg/lu.hpp"

#include <gtest/gtest.h>

#include <Eigen/LU>
#include <limits>

#include "linalg/log_abs_det.hpp"
#include "relgrad/core/error.hpp"
#include "support/central_differences.hpp"

namespace relgrad {
namespace {

TEST(LuFactors, GiveLogAbsDetSolutionsAndTheInverse) {
  const Matrix<double> a = test::normal_matrix<double>(6, 6, 5);
  const Matrix<double> b = test::normal_matrix<double>(6, 2, 6);

  const LuFactors factors("a", test::const_view(a));

  EXPECT_NEAR(factors.log_abs_det(), std::log(std::abs(a.determinant())), 1e-12);
  Matrix<double> x = b;
  factors.solve_in_place(test::view(x));
  EXPECT_LE((a * x - b).cwiseAbs().maxCoeff(), 1e-12);
  EXPECT_LE((a * factors.inverse() - Matrix<double>::Identity(6, 6)).cwiseAbs().maxCoeff(), 1e-12);
}

TEST(LuFactors, LogAbsDetDoesNotOverflowWhereTheDeterminantWould) {
  const Matrix<double> a = 1e10 * Matrix<double>::Identity(100, 100);
  EXPECT_NEAR(LuFactors("a", test::const_view(a)).log_abs_det(), 1000.0 * std::log(10.0), 1e-9);
}

// 300 is three panels, the last one short; rows are swapped across panels.
TEST(LogAbsDet, ByPanelsIsThatOfTheWholeFactorisation) {
  for (const Index d : {1, 5, 128, 129, 300}) {
    const Matrix<double> a = test::normal_matrix<double>(d, d, 8);
    const double whole = LuFactors("a", test::const_view(a)).log_abs_det();
    EXPECT_NEAR(log_abs_det("a", test::const_view(a)), whole, 1e-11 * static_cast<double>(d));
    // In single precision: each of D^2 / 2 multipliers rounded by 6e-8, and the condition of a.
    const Matrix<float> b = a.cast<float>();
    EXPECT_NEAR(log_abs_det("b", test::const_view(b)),
                LuFactors("b", test::const_view(b)).log_abs_det(), 1e-5 * static_cast<double>(d));
  }
}

TEST(LogAbsDet, NamesTheMatrixThatIsSingularOrNotFinite) {
  Matrix<double> a = Matrix<double>::Identity(200, 200);
  a.col(150).setZero();
  try {
    log_abs_det("layer/4/W", test::const_view(a));
    FAIL();
  } catch (const DivergedError& error) {
    EXPECT_NE(std::string(error.what()).find("layer/4/W: pivot 151"), std::string::npos);
  }
  a(3, 3) = std::numeric_limits<double>::infinity();
  EXPECT_THROW(log_abs_det("a", test::const_view(a)), DivergedError);
}

TEST(LuFactors, NameTheMatrixThatIsSingularOrNotFinite) {
  Matrix<float> a = Matrix<float>::Zero(3, 3);
  const auto message = [&] {
    try {
      LuFactors("layer/2/W", test::const_view(a));
    } catch (const DivergedError& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_NE(message().find("layer/2/W"), std::string::npos);
  EXPECT_NE(message().find("singular"), std::string::npos);
  a(1, 1) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NE(message().find("not finite"), std::string::npos);
}

}  // namespace
}  // namespace relgrad
