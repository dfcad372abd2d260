#include "tuning/second_look.hpp"

#include <gtest/gtest.h>

namespace relgrad {
namespace {

StepCost cost(const std::string& name, double seconds) {
  StepCost cost;
  cost.choice = {name, 1};
  cost.products = seconds;
  return cost;
}

/// Steps that take `seconds` until there is something to decide; at most `most` of them.
SecondLook::Decision after_steps(SecondLook& look, double seconds, std::int64_t most = 1000) {
  for (std::int64_t step = 0; step < most; ++step) {
    if (!look.add(seconds)) continue;
    const SecondLook::Decision decision = look.decide(look.seconds());
    if (decision.is_final || decision.change) return decision;
  }
  return {std::nullopt, false, "nothing to decide"};
}

TEST(SecondLook, LeavesAnExchangeThatIsAsFastAsPredicted) {
  SecondLook look({cost("factor", 0.010), cost("dense", 0.012)});
  const SecondLook::Decision decision = after_steps(look, 0.011);
  EXPECT_FALSE(decision.change);
  EXPECT_TRUE(decision.is_final);
  EXPECT_EQ(decision.words, "");
}

TEST(SecondLook, TriesWhatWasPredictedToBeFasterThanWhatWasMeasuredAndKeepsTheFastest) {
  SecondLook look({cost("factor", 0.010), cost("dense", 0.030), cost("gathered", 0.012),
                   cost("sharded", 0.080)});
  SecondLook::Decision decision = after_steps(look, 0.050);
  ASSERT_TRUE(decision.change);
  EXPECT_FALSE(look.has_settled());
  EXPECT_EQ(decision.change->name, "gathered");  // the fastest prediction of the others
  EXPECT_EQ(decision.words,
            "exchange factor takes 50.00 ms per step, 10.00 were predicted: gathered is tried, "
            "predicted 12.00");
  decision = after_steps(look, 0.040);  // faster, and dense may be faster still
  ASSERT_TRUE(decision.change);
  EXPECT_EQ(decision.change->name, "dense");
  EXPECT_FALSE(decision.is_final);
  decision = after_steps(look, 0.045);
  ASSERT_TRUE(decision.change);
  EXPECT_EQ(decision.change->name, "gathered");
  EXPECT_TRUE(decision.is_final);
  EXPECT_TRUE(look.has_settled());
  EXPECT_EQ(decision.words, "exchange dense takes 45.00 ms per step: back to gathered (40.00 ms)");
}

TEST(SecondLook, KeepsATrialThatIsFasterAndDoesNotTryWhatCannotBe) {
  SecondLook look({cost("factor", 0.010), cost("gathered", 0.012), cost("dense", 0.030)});
  ASSERT_TRUE(after_steps(look, 0.050).change);
  const SecondLook::Decision decision = after_steps(look, 0.020);
  EXPECT_FALSE(decision.change);
  EXPECT_TRUE(decision.is_final);
  EXPECT_EQ(decision.words, "exchange gathered takes 20.00 ms per step instead of 50.00: kept");
}

TEST(SecondLook, DoesNotCountTheStepsAfterAChangeNorMindAFewSlowOnes) {
  SecondLook look({cost("factor", 0.010), cost("dense", 0.012)});
  for (int step = 0; step < SecondLook::warm_up; ++step) EXPECT_FALSE(look.add(9));
  for (int step = 1; step < SecondLook::counted; ++step) {
    EXPECT_FALSE(look.add(step % 3 == 0 ? 9 : 0.010));
  }
  EXPECT_TRUE(look.add(0.010));
  EXPECT_EQ(look.seconds(), 0.010);
  EXPECT_FALSE(look.decide(look.seconds()).change);
}

// The pause is one of seconds: at its end steps may take ten times as long as at its start.
TEST(SecondLook, ComesAgainAfterAMinuteAndAfterFiveAndThenNoMore) {
  for (const double seconds_a_step : {0.010, 0.1, 20.0}) {
    SecondLook look({cost("factor", 0.010), cost("dense", 60)});
    EXPECT_TRUE(after_steps(look, 0.010).is_final);
    for (const double pause : {60, 240}) {
      double seconds = 0;
      while (true) {
        seconds += seconds_a_step;
        if (look.add(seconds_a_step) && look.decide(look.seconds()).is_final) break;
      }
      EXPECT_GE(seconds, pause);
      EXPECT_LE(seconds, pause + (SecondLook::counted + 502) * seconds_a_step);
    }
    EXPECT_EQ(after_steps(look, 9, 100000).words, "nothing to decide");
  }
}

TEST(SecondLook, HasNothingToDecideWhereThereIsNothingToChangeTo) {
  for (const auto& costs : {std::vector<StepCost>{}, std::vector{cost("row", 0.010)}}) {
    SecondLook look(costs);
    EXPECT_EQ(after_steps(look, 9).words, "nothing to decide");
  }
}

}  // namespace
}  // namespace relgrad
