#include "core/spread.hpp"

#include <gtest/gtest.h>

#include "relgrad/core/error.hpp"

namespace relgrad {
namespace {

TEST(Spread, IsMedianQuartilesAndEnds) {
  const Spread spread = spread_of({9, 1, 2, 8, 5});

  EXPECT_EQ(spread.median, 5);
  EXPECT_EQ(spread.least, 1);
  EXPECT_EQ(spread.lower_quartile, 2);
  EXPECT_EQ(spread.upper_quartile, 8);
  EXPECT_EQ(spread.most, 9);
}

TEST(Spread, OfOneValueIsThatValue) {
  const Spread spread = spread_of({3});

  EXPECT_EQ(spread.median, 3);
  EXPECT_EQ(spread.lower_quartile, 3);
  EXPECT_EQ(spread.upper_quartile, 3);
}

TEST(Spread, OfNothingIsAnError) { EXPECT_THROW(spread_of({}), ShapeError); }

}  // namespace
}  // namespace relgrad
