#include "gradient/geco.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace relgrad {
namespace {

/// log lambda after `steps` steps with the same error.
double log_weight_after(int steps, double error, double tolerance) {
  std::array<double, 2> state{};
  for (int step = 0; step < steps; ++step) {
    update_reconstruction(std::span<double>(state), error, tolerance, step);
  }
  return state[0];
}

TEST(Geco, TheWeightGrowsAboveTheToleranceAndFallsBelowIt) {
  EXPECT_NEAR(log_weight_after(1000, 1.5, 1.0), 0.5, 1e-9);
  EXPECT_NEAR(log_weight_after(1000, 0.25, 1.0), -0.75, 1e-9);
  EXPECT_NEAR(log_weight_after(1000, 1.0, 1.0), 0.0, 1e-9);
  EXPECT_NEAR(log_weight_after(1000, 1e9, 1.0), 1.0, 1e-9);  // by a factor of e at most
  EXPECT_EQ(log_weight_after(1000, 1.5, 0.0), 0.0);          // no tolerance: fixed
}

TEST(Geco, TheRunningMeanIsThatOfTheStepsThatWere) {
  std::array<double, 2> state{};
  EXPECT_EQ(reconstruction_error(std::span<const double>(state), 0), 0.0);
  update_reconstruction(std::span<double>(state), 3.0, 0.0, 0);
  EXPECT_NEAR(reconstruction_error(std::span<const double>(state), 1), 3.0, 1e-12);
  update_reconstruction(std::span<double>(state), 5.0, 0.0, 1);
  EXPECT_NEAR(reconstruction_error(std::span<const double>(state), 2), (0.9 * 3.0 + 5.0) / 1.9,
              1e-12);
}

}  // namespace
}  // namespace relgrad
