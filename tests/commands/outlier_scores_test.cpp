#include "commands/outlier_scores.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "relgrad/core/random.hpp"

namespace relgrad {
namespace {

constexpr Latent all_latents[] = {Latent::normal, Latent::logistic, Latent::hyperbolic_secant,
                                  Latent::laplace};

TEST(LatentTests, HaveTheDistributionsOfTheBookOverDrawsOfTheLatentDensity) {
  constexpr int draws = 3000;
  for (const Latent latent : all_latents) {
    double sum = 0;
    double squares = 0;
    int above_5_percent = 0;
    std::vector<double> z(300);
    for (int n = 0; n < draws; ++n) {
      const RandomStream stream(7, Purpose::test, 0, static_cast<std::uint64_t>(n));
      sample_latent<double>(latent, stream, 1.0, z);
      const LatentTests tests = test_latent(latent, z);
      sum += tests.log_density;
      squares += tests.log_density * tests.log_density;
      above_5_percent += tests.anderson_darling > 2.492 ? 1 : 0;
    }
    const double mean = sum / draws;
    EXPECT_NEAR(mean, 0.0, 4.0 / std::sqrt(draws)) << name_of(latent);
    EXPECT_NEAR(squares / draws - mean * mean, 1.0, 0.12) << name_of(latent);
    EXPECT_NEAR(above_5_percent / double{draws}, 0.05, 0.016) << name_of(latent);
  }
}

TEST(LatentTests, OfTheNormalAreChiSquareAndTheFormulaOfAndersonAndDarling) {
  const std::vector<double> z{1.5, -0.25, 0.0, 3.0};
  const LatentTests tests = test_latent(Latent::normal, z);
  EXPECT_NEAR(tests.log_density, (4 - (2.25 + 0.0625 + 9)) / std::sqrt(8.0), 1e-12);
  // u = 0.40129367, 0.5, 0.93319280, 0.99865010
  EXPECT_NEAR(tests.anderson_darling, 2.282465027, 1e-8);
}

TEST(LatentTests, AreLargeAndFiniteFarOut) {
  for (const Latent latent : all_latents) {
    std::vector<double> z(50, 0.0);
    z[3] = 1e4;
    z[8] = -1e4;
    const LatentTests tests = test_latent(latent, z);
    EXPECT_LT(tests.log_density, -10) << name_of(latent);
    EXPECT_TRUE(std::isfinite(tests.anderson_darling)) << name_of(latent);
    EXPECT_GT(tests.anderson_darling, 10) << name_of(latent);
  }
}

}  // namespace
}  // namespace relgrad
