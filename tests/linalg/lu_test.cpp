#include "relgrad/linalg/lu.hpp"

#include <gtest/gtest.h>

#include <Eigen/LU>
#include <limits>

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
