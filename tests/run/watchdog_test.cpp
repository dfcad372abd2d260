#include "run/watchdog.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <future>

namespace relgrad {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

struct Barked {
  Heartbeat::Seen seen;
  double seconds = 0;
};

/// A watchdog of `seconds` whose bark can be waited for.
class WatchdogTest : public testing::Test {
 protected:
  void watch(double seconds, double grace) {
    watchdog_ = std::make_unique<Watchdog>(heartbeat_, seconds, grace,
                                           [this](const Heartbeat::Seen& seen, double still) {
                                             barked_.set_value({seen, still});
                                           });
  }
  bool barks_within(milliseconds time) {
    return future_.wait_for(time) == std::future_status::ready;
  }

  Heartbeat heartbeat_;
  std::promise<Barked> barked_;
  std::future<Barked> future_ = barked_.get_future();
  std::unique_ptr<Watchdog> watchdog_;
};

TEST_F(WatchdogTest, BarksWhenNoBeatComesAndTellsStepAndPlace) {
  heartbeat_.begin_step(17);
  heartbeat_.at(Place::data);
  watch(0.1, 100);

  ASSERT_TRUE(barks_within(milliseconds(20000)));
  const Barked barked = future_.get();
  EXPECT_EQ(barked.seen.step, 17);
  EXPECT_EQ(barked.seen.place, Place::data);
  EXPECT_GE(barked.seconds, 0.1);
}

TEST_F(WatchdogTest, IsQuietWhileBeatsCome) {
  watch(0.5, 0);
  double longest = 0;  // seconds between two beats: a busy machine may hold this thread up
  for (int i = 0; i < 30; ++i) {
    const auto beat = std::chrono::steady_clock::now();
    heartbeat_.at(Place::data);
    const bool barked = barks_within(milliseconds(50));
    const std::chrono::duration<double> gap = std::chrono::steady_clock::now() - beat;
    longest = std::max(longest, gap.count());
    if (!barked) continue;
    ASSERT_GE(longest, 0.5);
    return;
  }
}

TEST_F(WatchdogTest, WaitsLongerWhereAnotherRankMayBeTheOneThatHangs) {
  heartbeat_.at(Place::sum);
  watch(0.05, 1);

  ASSERT_TRUE(barks_within(milliseconds(20000)));
  EXPECT_GE(future_.get().seconds, 1.05);
}

TEST_F(WatchdogTest, OffNeverBarks) {
  watch(0, 0);
  EXPECT_FALSE(barks_within(milliseconds(100)));
}

TEST_F(WatchdogTest, EndsAtOnceWithItsOwner) {
  watch(100000, 0);
  watchdog_.reset();  // else the test runs into its time limit
  EXPECT_FALSE(barks_within(milliseconds(0)));
}

TEST(HangText, NamesRankHostPlaceStepAndTime) {
  const std::string hangs = hang_text(3, "node7", {1, 17, Place::data}, 60.4);
  EXPECT_THAT(hangs, HasSubstr("rank 3 on node7 hangs: 60 s in 'data' of step 17"));
  const std::string waits = hang_text(0, "node1", {1, 17, Place::sum}, 63);
  EXPECT_THAT(waits, HasSubstr("rank 0 on node1 waits or hangs: 63 s in 'sum' of step 17"));
}

}  // namespace
}  // namespace relgrad
