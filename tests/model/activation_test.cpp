#include "model/activation.hpp"

#include <gtest/gtest.h>

#include "core/simd_math.hpp"
#include "relgrad/core/error.hpp"
#include "support/central_differences.hpp"

namespace relgrad {
namespace {

using test::const_view;
using test::far_out;
using test::normal_matrix;
using test::view;

test::SumBuffer<double> no_gradients() { return test::SumBuffer<double>(ParameterStore<double>()); }

template <class T>
class SimdMath : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(SimdMath, Scalars);

// Five roundings of the result: what a few fused steps and the last addition may leave.
template <class T>
constexpr double few_roundings = 2.5 * std::numeric_limits<T>::epsilon();

TYPED_TEST(SimdMath, ExpAndExpm1AgreeWithTheLibrary) {
  for (double x = -86.9; x < 87.9; x += 0.00713) {
    const auto at = static_cast<TypeParam>(x);
    const auto exact = static_cast<double>(at);

    const auto pair = simd::exp_and_expm1(at);

    EXPECT_NEAR(static_cast<double>(pair.exp) / std::exp(exact), 1.0, few_roundings<TypeParam>);
    EXPECT_NEAR(static_cast<double>(pair.expm1) / std::expm1(exact), 1.0, few_roundings<TypeParam>)
        << x;
  }
}

TYPED_TEST(SimdMath, LogAndLog1pAgreeWithTheLibrary) {
  for (double exponent = -80.0; exponent < 80.0; exponent += 0.00713) {
    const auto at = static_cast<TypeParam>(std::exp(exponent));
    const auto exact = static_cast<double>(at);

    EXPECT_NEAR(static_cast<double>(simd::log(at)), std::log(exact),
                few_roundings<TypeParam> * std::abs(std::log(exact)));
    EXPECT_NEAR(static_cast<double>(simd::log1p(at)) / std::log1p(exact), 1.0,
                few_roundings<TypeParam>);
  }
}

TEST(SmoothLeakyRelu, HasTheValueOfItsFormula) {
  const SmoothLeakyRelu<double> layer(1, 1, 0.3);
  const Matrix<double> y = normal_matrix<double>(1, 50, /*seed=*/3, /*scale=*/5.0);
  Matrix<double> z(1, 50);
  std::vector<double> log_abs_det(50, 1.0);

  test::forward_of(layer, const_view(y), view(z), log_abs_det);

  for (Index n = 0; n < 50; ++n) {
    const double slope = 0.3 + 0.7 / (1.0 + std::exp(-y(0, n)));
    EXPECT_NEAR(z(0, n), 0.3 * y(0, n) + 0.7 * std::log1p(std::exp(y(0, n))), 1e-14);
    EXPECT_NEAR(log_abs_det[static_cast<std::size_t>(n)], 1.0 + std::log(slope), 1e-14);
  }
}

TEST(SmoothLeakyRelu, SlopesAgreeWithCentralDifferences) {
  for (const double slope : {0.3, 0.01}) {
    const SmoothLeakyRelu<double> layer(3, 3, slope);
    auto sums = no_gradients();

    test::expect_slopes_agree_with_differences(layer, normal_matrix<double>(3, 8, 5, 3.0), sums);
  }
}

TEST(SmoothLeakyRelu, InverseUndoesForwardFarOut) {
  for (const double slope : {0.3, 0.01}) {
    test::expect_inverse_undoes_forward<double>(SmoothLeakyRelu<double>(2, 2, slope),
                                                far_out<double>(2), 1e-13);
    // An error of one rounding in z is 1 / slope times as large in y.
    test::expect_inverse_undoes_forward<float>(SmoothLeakyRelu<float>(2, 2, slope),
                                               far_out<float>(2), 3e-7 / slope);
  }
}

TEST(SmoothLeakyRelu, IsLinearFarOut) {
  const SmoothLeakyRelu<float> layer(2, 2, 0.3);
  Matrix<float> y(2, 1);
  y << 1e4F, -1e4F;
  Matrix<float> z(2, 1);
  std::vector<double> log_abs_det(1);

  test::forward_of(layer, const_view(y), view(z), log_abs_det);

  EXPECT_FLOAT_EQ(z(0, 0), 1e4F);
  EXPECT_FLOAT_EQ(z(1, 0), -3e3F);
  EXPECT_NEAR(log_abs_det[0], std::log(0.3), 1e-6);
}

TEST(SmoothLeakyRelu, KeepsNotANumberVisible) {
  const SmoothLeakyRelu<float> layer(1, 1, 0.3);
  const Matrix<float> y = Matrix<float>::Constant(1, 1, std::numeric_limits<float>::quiet_NaN());
  Matrix<float> z(1, 1);
  std::vector<double> log_abs_det(1);

  test::forward_of(layer, const_view(y), view(z), log_abs_det);

  EXPECT_TRUE(std::isnan(z(0, 0)));
}

TEST(SmoothLeakyRelu, FloatAgreesWithDouble) {
  const Matrix<double> y =
      normal_matrix<double>(300, 4, /*seed=*/7, /*scale=*/6.0).cast<float>().cast<double>();
  const Matrix<float> y_float = y.cast<float>();
  Matrix<double> z(300, 4);
  Matrix<float> z_float(300, 4);
  std::vector<double> log_abs_det(4);
  std::vector<double> log_abs_det_float(4);

  test::forward_of<double>(SmoothLeakyRelu<double>(300, 300, 0.3), const_view(y), view(z),
                           log_abs_det);
  test::forward_of<float>(SmoothLeakyRelu<float>(300, 300, 0.3), const_view(y_float), view(z_float),
                          log_abs_det_float);

  EXPECT_LT((z - z_float.cast<double>()).cwiseAbs().maxCoeff(), 5e-6);
  for (std::size_t n = 0; n < 4; ++n) EXPECT_NEAR(log_abs_det[n], log_abs_det_float[n], 1e-4);
}

TEST(SmoothLeakyRelu, RefusesASlopeOutsideZeroToOne) {
  EXPECT_THROW(SmoothLeakyRelu<float>(1, 1, 0.0), UsageError);
  EXPECT_THROW(SmoothLeakyRelu<float>(1, 1, 1.0), UsageError);
}

TEST(LeakyTanh, HasTheValueOfItsFormula) {
  const LeakyTanh<double> layer(1, 1, 1.5, 0.1);
  const Matrix<double> y = normal_matrix<double>(1, 50, /*seed=*/3, /*scale=*/3.0);
  Matrix<double> z(1, 50);
  std::vector<double> log_abs_det(50);

  test::forward_of(layer, const_view(y), view(z), log_abs_det);

  for (Index n = 0; n < 50; ++n) {
    EXPECT_NEAR(z(0, n), std::tanh(1.5 * y(0, n)) + 0.1 * y(0, n), 1e-14);
  }
}

TEST(LeakyTanh, SlopesAgreeWithCentralDifferences) {
  const LeakyTanh<double> layer(3, 3, 1.5, 0.2);
  auto sums = no_gradients();

  test::expect_slopes_agree_with_differences(layer, normal_matrix<double>(3, 8, 5, 1.5), sums);
}

TEST(LeakyTanh, InverseUndoesForwardFarOut) {
  for (const double slope : {1.0, 0.01}) {
    test::expect_inverse_undoes_forward<double>(LeakyTanh<double>(2, 2, 1.5, slope),
                                                far_out<double>(2), 1e-13 / slope);
    test::expect_inverse_undoes_forward<float>(LeakyTanh<float>(2, 2, 1.5, slope),
                                               far_out<float>(2), 3e-7 / slope);
  }
}

}  // namespace
}  // namespace relgrad
