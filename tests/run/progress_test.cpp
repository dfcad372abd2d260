#include "run/progress.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace relgrad {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(DurationText, HasHoursOnlyWhereThereAreAny) {
  EXPECT_EQ(duration_text(0), "0:00");
  EXPECT_EQ(duration_text(3.4), "0:03");
  EXPECT_EQ(duration_text(59.6), "1:00");
  EXPECT_EQ(duration_text(123), "2:03");
  EXPECT_EQ(duration_text(3599), "59:59");
  EXPECT_EQ(duration_text(3723), "1:02:03");
  EXPECT_EQ(duration_text(360000), "100:00:00");
  EXPECT_EQ(duration_text(-5), "0:00");
}

TEST(Progress, TellsWhatIsKnownAndLeavesOutWhatIsNot) {
  RunProgress progress(true);
  ProgressState state;
  state.epoch = 2.37;
  state.epochs = 10;
  state.step = 1234;
  state.train_bits_per_dim = 1.5;
  state.val_bits_per_dim = std::numeric_limits<double>::quiet_NaN();
  state.samples_per_s = 10000.4;

  testing::internal::CaptureStderr();
  progress.show(state, true);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              AllOf(HasSubstr("epoch 2.37/10  step 1234  train ~1.5000 bits/dim  10000 samples/s"),
                    Not(HasSubstr("val")), Not(HasSubstr("left"))));
  state.val_bits_per_dim = 1.25;
  state.train_is_exact = true;
  state.fraction = 0.5;  // half of the run since the first call: some time is left
  testing::internal::CaptureStderr();
  progress.show(state, true);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              AllOf(HasSubstr("train 1.5000  val 1.2500 bits/dim"), HasSubstr("0:00 left")));
}

TEST(Progress, IsSilentOnOtherRanksAndBetweenItsTimes) {
  testing::internal::CaptureStderr();
  RunProgress(false).show({}, true);
  RunProgress(true).show({});
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace relgrad
