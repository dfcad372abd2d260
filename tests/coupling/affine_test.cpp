#include "coupling/affine.hpp"

#include <gtest/gtest.h>

#include <Eigen/LU>
#include <numbers>

#include "coupling/net_case.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {
namespace {

using test::net_spans;
using test::normal_matrix;
using test::random_net;

/// A coupling of 4 x 3 x 2 samples with random parameters, on whole samples.
template <class T>
struct CouplingCase {
  explicit CouplingCase(std::uint64_t seed)
      : coupling(4, 3, 2, 5, products),
        flat(random_net<T>(coupling.net().shape(), seed)),
        parameters(net_spans<const T>(coupling.net().shape(), flat)) {}

  Matrix<T> forward(const Matrix<T>& x, std::vector<double>& log_abs_det) {
    const Index half = coupling.half_size();
    Matrix<T> y = x;
    kept.resize(static_cast<std::size_t>(x.cols() * coupling.kept_size()));
    coupling.forward(parameters, {x.data(), x.rows()}, {x.data() + half, x.rows()}, x.cols(),
                     {y.data() + half, y.rows()}, kept, log_abs_det);
    return y;
  }

  Products products{ProductBackend::openblas};
  AffineCoupling<T> coupling;
  std::vector<T> flat;
  NetSpans<const T> parameters;
  std::vector<T> kept;
};

TEST(AffineCoupling, InverseUndoesForward) {
  CouplingCase<double> test(/*seed=*/1);
  const Matrix<double> x = normal_matrix<double>(24, 9, /*seed=*/2);
  std::vector<double> log_abs_det(9);
  Matrix<double> y = test.forward(x, log_abs_det);
  const Index half = test.coupling.half_size();

  test.coupling.inverse(test.parameters, {y.data(), 24}, {y.data() + half, 24}, 9,
                        {y.data() + half, 24});  // in place

  // s is at least e^{-2}: rounding of y grows by e^2
  EXPECT_LT((y - x).cwiseAbs().maxCoeff(), 1e-14);
}

TEST(AffineCoupling, LogAbsDetIsThatOfTheNumericalJacobian) {
  CouplingCase<double> test(/*seed=*/1);
  Matrix<double> x = normal_matrix<double>(24, 1, /*seed=*/3);
  std::vector<double> log_abs_det{0.25};  // it adds
  test.forward(x, log_abs_det);
  Matrix<double> jacobian(24, 24);
  std::vector<double> ignored(1);
  for (Index j = 0; j < 24; ++j) {
    for (Index i = 0; i < 24; ++i) {
      const auto value = [&] { return test.forward(x, ignored)(i, 0); };
      jacobian(i, j) = test::central_difference(value, x(j, 0), 1e-4).value;
    }
  }
  EXPECT_NEAR(log_abs_det[0] - 0.25, std::log(std::abs(jacobian.determinant())), 1e-8);
}

TEST(AffineCoupling, LogScaleStaysWithinTwoWhereTheNetIsFarOut) {
  CouplingCase<float> test(/*seed=*/1);
  Matrix<float> x = normal_matrix<float>(24, 2, /*seed=*/3, /*scale=*/1e4);
  std::vector<double> log_abs_det(2);
  const Matrix<float> y = test.forward(x, log_abs_det);
  EXPECT_TRUE(y.allFinite());
  for (const double value : log_abs_det) EXPECT_LE(std::abs(value), 2.0 * 12.0 + 1e-5);
}

/// L = sum of c y + log|det|, whose derivatives a backward pass gives.
TEST(AffineCoupling, BackwardAgreesWithCentralDifferences) {
  CouplingCase<double> test(/*seed=*/4);
  const NetShape& shape = test.coupling.net().shape();
  const Index batch = 3;
  const Index half = test.coupling.half_size();
  Matrix<double> x = normal_matrix<double>(24, batch, /*seed=*/5);
  const Matrix<double> c = normal_matrix<double>(24, batch, /*seed=*/6);
  const auto objective = [&] {
    std::vector<double> log_abs_det(static_cast<std::size_t>(batch));
    const Matrix<double> y = test.forward(x, log_abs_det);
    return y.cwiseProduct(c).sum() + std::accumulate(log_abs_det.begin(), log_abs_det.end(), 0.0);
  };
  objective();
  Matrix<double> delta = c;  // in place, as the backward pass uses it
  std::vector<double> scratch(static_cast<std::size_t>(batch * test.coupling.scratch_size()));
  std::vector<double> gradient(test.flat.size());
  const auto gradients = net_spans<double>(shape, gradient);

  test.coupling.backward(test.parameters, {x.data(), 24}, {x.data() + half, 24}, batch, test.kept,
                         {delta.data() + half, 24}, {delta.data() + half, 24}, {delta.data(), 24},
                         scratch, gradients);

  for (Index i = 0; i < x.size(); ++i) {
    const auto expected = test::central_difference(objective, x.data()[i], 1e-4);
    EXPECT_NEAR(delta.data()[i], expected.value, expected.error + 1e-9) << "input " << i;
  }
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    const auto expected = test::central_difference(objective, test.flat[i], 1e-4);
    EXPECT_NEAR(gradient[i], expected.value, expected.error + 1e-9) << "parameter " << i;
  }
  // exact sums are the same numbers
  objective();  // keeps what belongs to these parameters
  Matrix<double> delta_exact = c;
  std::vector<double> sums(test.flat.size());
  test.coupling.backward_exact(test.parameters, {x.data(), 24}, {x.data() + half, 24}, batch,
                               test.kept, {delta_exact.data() + half, 24},
                               {delta_exact.data() + half, 24}, {delta_exact.data(), 24}, scratch,
                               ExactGrid(14, batch), net_spans<double>(shape, sums));
  EXPECT_LT((delta_exact - delta).cwiseAbs().maxCoeff(), 1e-13);
  // each of three terms is rounded to multiples of 2^{14 + 2 - 51}
  for (std::size_t i = 0; i < sums.size(); ++i) EXPECT_NEAR(sums[i], gradient[i], 1e-10);
}

// As a split: the density of x2 given x1 is the normal one of mean -t / s and scale 1 / s.
TEST(AffineCoupling, IsTheGaussianOfItsNetWhereTheSecondHalfLeaves) {
  CouplingCase<double> test(/*seed=*/7);
  const Matrix<double> x = normal_matrix<double>(24, 1, /*seed=*/8);
  std::vector<double> log_density(1);
  const Matrix<double> y = test.forward(x, log_density);
  double expected = 0.0;
  for (Index i = 0; i < 12; ++i) {
    const Index channel = i / 6;
    const double h = test.kept[static_cast<std::size_t>(2 * channel * 6 + i % 6)];
    const double t = test.kept[static_cast<std::size_t>((2 * channel + 1) * 6 + i % 6)];
    const double scale = std::exp(-2.0 * std::tanh(0.5 * h));
    const double z = (x(12 + i, 0) + t * scale) / scale;
    EXPECT_NEAR(y(12 + i, 0), z, 1e-13);
    log_density[0] += -0.5 * (z * z + std::log(2.0 * std::numbers::pi));
    expected += -0.5 * (z * z + std::log(2.0 * std::numbers::pi)) - std::log(scale);
  }
  EXPECT_NEAR(log_density[0], expected, 1e-12);
}

TEST(AffineCoupling, RefusesAnOddNumberOfChannels) {
  const Products products(ProductBackend::openblas);
  EXPECT_THROW(AffineCoupling<float>(3, 4, 4, 8, products), UsageError);
}

}  // namespace
}  // namespace relgrad
