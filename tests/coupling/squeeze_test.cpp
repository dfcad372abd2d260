#include "coupling/squeeze.hpp"

#include <gtest/gtest.h>

#include "relgrad/core/error.hpp"
#include "support/central_differences.hpp"

namespace relgrad {
namespace {

using test::const_view;
using test::view;

TEST(Squeeze, PutsEveryTwoByTwoBlockIntoFourChannels) {
  const Index channels = 2;
  const Index height = 4;
  const Index width = 6;
  const Matrix<float> x = test::normal_matrix<float>(48, 3, /*seed=*/1);
  Matrix<float> y(48, 3);

  squeeze(channels, height, width, const_view(x), view(y));

  for (Index n = 0; n < 3; ++n) {
    for (Index c = 0; c < channels; ++c) {
      for (Index row = 0; row < height; ++row) {
        for (Index column = 0; column < width; ++column) {
          const Index channel = 4 * c + 2 * (row % 2) + column % 2;
          EXPECT_EQ(y(channel * 6 + row / 2 * 3 + column / 2, n), x(c * 24 + row * 6 + column, n));
        }
      }
    }
  }
}

TEST(Squeeze, IsUndone) {
  const Matrix<double> x = test::normal_matrix<double>(48, 3, /*seed=*/1);
  Matrix<double> y(48, 3);
  Matrix<double> back(48, 3);
  squeeze(1, 8, 6, const_view(x), view(y));
  unsqueeze(1, 8, 6, const_view(y), view(back));
  EXPECT_EQ(back, x);
}

TEST(Squeeze, RefusesPlanesThatDoNotHalve) {
  Matrix<float> x(15, 1);
  Matrix<float> y(15, 1);
  EXPECT_THROW(squeeze(1, 3, 5, const_view(x), view(y)), UsageError);
}

}  // namespace
}  // namespace relgrad
