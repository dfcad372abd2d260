#include "relgrad/optim/schedule.hpp"

#include <gtest/gtest.h>

namespace relgrad {
namespace {

TEST(Schedule, WarmsUpLinearlyThenFollowsHalfACosine) {
  const Schedule schedule{ScheduleKind::cosine, 100, 1100, 0.0};
  EXPECT_DOUBLE_EQ(schedule.factor(0), 0.0);
  EXPECT_DOUBLE_EQ(schedule.factor(25), 0.25);
  EXPECT_DOUBLE_EQ(schedule.factor(100), 1.0);
  EXPECT_NEAR(schedule.factor(600), 0.5, 1e-15);
  EXPECT_NEAR(schedule.factor(1100), 0.0, 1e-15);
  EXPECT_NEAR(schedule.factor(5000), 0.0, 1e-15);
}

TEST(Schedule, ConstantStaysAtOneAfterTheWarmUp) {
  const Schedule schedule{ScheduleKind::constant, 10, 100, 0.0};
  EXPECT_DOUBLE_EQ(schedule.factor(5), 0.5);
  EXPECT_DOUBLE_EQ(schedule.factor(99), 1.0);
}

}  // namespace
}  // namespace relgrad
