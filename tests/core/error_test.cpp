#include "relgrad/core/error.hpp"

#include <gtest/gtest.h>

namespace relgrad {
namespace {

TEST(Error, EveryKindHasItsExitCodeOfTheContract) {
  EXPECT_EQ(static_cast<int>(ShapeError("").code()), 1);
  EXPECT_EQ(static_cast<int>(UsageError("").code()), 2);
  EXPECT_EQ(static_cast<int>(DataError("").code()), 3);
  EXPECT_EQ(static_cast<int>(CheckpointError("").code()), 4);
  EXPECT_EQ(static_cast<int>(DivergedError("").code()), 5);
  EXPECT_EQ(static_cast<int>(DiskError("").code()), 6);
  EXPECT_EQ(static_cast<int>(ExitCode::stopped), 75);
}

TEST(Error, IsOfOneRankUntilAllHaveAgreedOnIt) {
  DataError error("no file");
  EXPECT_FALSE(error.agreed());
  EXPECT_TRUE(error.set_agreed().agreed());
  EXPECT_STREQ(error.what(), "no file");
}

TEST(CheckSize, NamesThePlaceTheThingAndBothSizes) {
  EXPECT_NO_THROW(check_size("forward", "x", 784, 784));
  try {
    check_size("forward", "x", 784, 64);
    FAIL() << "nothing was thrown";
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "forward: x is 784, expected 64");
  }
}

}  // namespace
}  // namespace relgrad
