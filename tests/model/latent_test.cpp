#include "relgrad/model/latent.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "relgrad/core/error.hpp"
#include "support/central_differences.hpp"

namespace relgrad {
namespace {

using test::const_view;
using test::normal_matrix;
using test::view;

class LatentDensity : public testing::TestWithParam<Latent> {};
INSTANTIATE_TEST_SUITE_P(All, LatentDensity,
                         testing::Values(Latent::normal, Latent::logistic,
                                         Latent::hyperbolic_secant, Latent::laplace),
                         [](const auto& parameter) {
                           std::string name(name_of(parameter.param));
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

double log_density(Latent latent, double z) {
  const Matrix<double> at = Matrix<double>::Constant(1, 1, z);
  std::vector<double> result(1);
  add_latent_log_density<double>(latent, const_view(at), result);
  return result[0];
}

// Composite Simpson, error O(h^4), with a knot at the kink of Laplace.
TEST_P(LatentDensity, IntegratesToOne) {
  constexpr int intervals = 40000;
  constexpr double bound = 40.0;
  constexpr double h = 2.0 * bound / intervals;
  double integral = 0.0;
  for (int i = 0; i <= intervals; ++i) {
    const double weight = i == 0 || i == intervals ? 1.0 : (i % 2 == 1 ? 4.0 : 2.0);
    integral += weight * h / 3.0 * std::exp(log_density(GetParam(), -bound + i * h));
  }

  EXPECT_NEAR(integral, 1.0, 1e-10);
}

TEST_P(LatentDensity, ScoreIsTheDerivativeOfTheLogDensity) {
  Matrix<double> z = normal_matrix<double>(5, 6, /*seed=*/2, /*scale=*/3.0);
  Matrix<double> score = z;  // in place

  latent_score<double>(GetParam(), const_view(score), view(score));

  for (Index k = 0; k < z.size(); ++k) {
    const auto value = [&] { return log_density(GetParam(), z.data()[k]); };
    const auto expected = test::central_difference(value, z.data()[k], 1e-4);
    EXPECT_NEAR(score.data()[k], expected.value, expected.error + 1e-9);
  }
}

TEST_P(LatentDensity, IsFiniteFarOutInSinglePrecision) {
  Matrix<float> z(4, 1);
  z << 1e4F, -1e4F, 1e-30F, 0.0F;
  std::vector<double> result(1);
  Matrix<float> score(4, 1);

  add_latent_log_density<float>(GetParam(), const_view(z), result);
  latent_score<float>(GetParam(), const_view(z), view(score));

  double expected = 0.0;
  for (const double at : {1e4, -1e4, 1e-30, 0.0}) expected += log_density(GetParam(), at);
  EXPECT_NEAR(result[0] / expected, 1.0, 1e-6);
  EXPECT_TRUE(score.allFinite());
}

// The mean of log p(z) over draws is minus the entropy; its standard error from the same draws.
TEST_P(LatentDensity, SamplesHaveTheEntropyOfTheDensity) {
  const double entropy = [&] {
    double sum = 0.0;
    for (double z = -60.0; z < 60.0; z += 1e-3) {
      const double value = log_density(GetParam(), z + 5e-4);
      sum -= 1e-3 * value * std::exp(value);
    }
    return sum;
  }();
  std::vector<double> draws(200000);

  sample_latent<double>(GetParam(), RandomStream(5, Purpose::test, 0, 0), 1.0, draws);

  double sum = 0.0;
  double squares = 0.0;
  double mean = 0.0;
  for (const double z : draws) {
    const double value = log_density(GetParam(), z);
    sum += value;
    squares += value * value;
    mean += z;
  }
  const auto count = static_cast<double>(draws.size());
  const double error = std::sqrt((squares / count - sum * sum / count / count) / count);
  EXPECT_NEAR(-sum / count, entropy, 5.0 * error);
  EXPECT_NEAR(mean / count, 0.0, 5.0 * 2.0 / std::sqrt(count));
}

TEST_P(LatentDensity, TemperatureScalesSamples) {
  const RandomStream stream(5, Purpose::test, 0, 1);
  std::vector<float> warm(100);
  std::vector<float> cool(100);

  sample_latent<float>(GetParam(), stream, 1.0, warm);
  sample_latent<float>(GetParam(), stream, 0.5, cool);

  for (std::size_t i = 0; i < 100; ++i) EXPECT_FLOAT_EQ(cool[i], 0.5F * warm[i]);
}

TEST_P(LatentDensity, IsFoundByItsName) {
  EXPECT_EQ(parse_latent(name_of(GetParam())), GetParam());
}

TEST(LatentNames, AnUnknownNameIsAnsweredWithTheChoices) {
  try {
    parse_latent("gauss");
    FAIL() << "no error";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("hyperbolic-secant"), std::string::npos);
  }
}

}  // namespace
}  // namespace relgrad
