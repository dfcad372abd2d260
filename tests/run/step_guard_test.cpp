#include "run/step_guard.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "relgrad/core/error.hpp"
#include "relgrad/likelihood/log_likelihood.hpp"
#include "run/fault.hpp"
#include "run/finite.hpp"

namespace relgrad {
namespace {

using Action = NonfinitePolicy::Action;
using testing::HasSubstr;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

TEST(NonfinitePolicy, StopsAtTheFirstUnlessAskedForMore) {
  NonfinitePolicy policy("stop");

  EXPECT_EQ(policy.decide(true), Action::stop);
  EXPECT_EQ(policy.reason(), "");
}

TEST(NonfinitePolicy, LeavesOutNineInARowAndStopsAtTheTenth) {
  NonfinitePolicy policy("skip");
  for (int i = 1; i < 10; ++i) EXPECT_EQ(policy.decide(true), Action::skip) << i;

  EXPECT_EQ(policy.decide(true), Action::stop);
  EXPECT_EQ(policy.reason(), "the 10th step in a row");
}

TEST(NonfinitePolicy, AFiniteStepBreaksTheRow) {
  NonfinitePolicy policy("skip");
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(policy.decide(true), Action::skip) << i;
    if (i % 9 == 8) policy.saw_finite_step();
  }
}

TEST(NonfinitePolicy, DoesNotLeaveOutBatchesForParametersThatAreNotFinite) {
  NonfinitePolicy policy("skip");

  EXPECT_EQ(policy.decide(false), Action::stop);
  EXPECT_THAT(policy.reason(), HasSubstr("cannot mend"));
}

TEST(NonfinitePolicy, RollsBackThreeTimesBetweenTwoSaves) {
  NonfinitePolicy policy("rollback");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(policy.decide(false), Action::rollback);
  policy.saved();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(policy.decide(true), Action::rollback);
    policy.saw_finite_step();  // not enough: only a checkpoint is progress that stays
  }

  EXPECT_EQ(policy.decide(true), Action::stop);
  EXPECT_EQ(policy.reason(), "after 3 rollbacks without a new checkpoint");
}

template <class T>
class AllFinite : public testing::Test {};
using Precisions = testing::Types<float, double>;
TYPED_TEST_SUITE(AllFinite, Precisions);

TYPED_TEST(AllFinite, FindsOneBadValueAnywhere) {
  using Limits = std::numeric_limits<TypeParam>;
  std::vector<TypeParam> values{
      0, -1, Limits::max(), Limits::lowest(), Limits::denorm_min(), -0., 1e3, Limits::min(), 3, 4};
  EXPECT_TRUE(all_finite(std::span<const TypeParam>(values)));
  EXPECT_TRUE(all_finite(std::span<const TypeParam>()));
  for (const TypeParam bad :
       {Limits::quiet_NaN(), -Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity()}) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      auto copy = values;
      copy[i] = bad;
      EXPECT_FALSE(all_finite(std::span<const TypeParam>(copy))) << bad << " at " << i;
    }
  }
}

TEST(RangeOf, TellsTheExtremesOfFiniteValuesAndCountsTheOthers) {
  const std::array<double, 5> values{-3, nan, 0.5, infinity, 2};

  EXPECT_EQ(range_of("W", std::span<const double>(values)),
            (nlohmann::json{{"name", "W"}, {"min_abs", 0.5}, {"max_abs", 3.0}, {"nonfinite", 2}}));
  EXPECT_TRUE(range_of("W", std::span<const double>(&nan, 1)).at("max_abs").is_null());
}

TEST(NumberOrWord, HasAWordForWhatJsonCannotHold) {
  EXPECT_EQ(number_or_word(1.5), 1.5);
  EXPECT_EQ(number_or_word(nan), "nan");
  EXPECT_EQ(number_or_word(infinity), "inf");
  EXPECT_EQ(number_or_word(-infinity), "-inf");
}

class NonfiniteSamples : public testing::Test {
 protected:
  NonfiniteSamples()
      : flow_(make_flow_spec(3, 2, {"smooth-leaky-relu", {{"slope", 0.3}}}, {"none", {}},
                             Latent::normal),
              Products(parse_product_backend("auto"))),
        workspace_(flow_, 4) {
    flow_.initialize(Initialization::identity, 0.0, 1);
    flow_.prepare();
    workspace_.set_batch(4);
    workspace_.input().setOnes();
    std::ranges::fill(workspace_.log_likelihood(), 0.0);
  }

  nlohmann::json samples(std::size_t most = 10) {
    forward(flow_, workspace_);
    return nonfinite_samples(workspace_, flow_, std::array<std::uint64_t, 4>{40, 41, 42, 43}, most);
  }

  Flow<double> flow_;
  Workspace<double> workspace_;
};

TEST_F(NonfiniteSamples, AreNoneWhereAllIsFinite) { EXPECT_EQ(samples(), nlohmann::json::array()); }

TEST_F(NonfiniteSamples, NamesTheRowAndThatTheInputIsBad) {
  workspace_.input()(1, 2) = nan;

  const nlohmann::json found = samples();

  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].at("row"), 42);
  EXPECT_EQ(found[0].at("first_not_finite"), "input");
  EXPECT_EQ(found[0].at("log_likelihood_nats"), "nan");
}

TEST_F(NonfiniteSamples, NamesTheLayerWhoseParametersOverflow) {
  flow_.parameters().values(flow_.parameters().id_of("layer/2/b"))[1] = infinity;
  flow_.prepare();

  const nlohmann::json found = samples(3);

  ASSERT_EQ(found.size(), 3U);  // of 4: not more than asked for
  EXPECT_EQ(found[0].at("first_not_finite"), "layer 2: linear");
}

TEST_F(NonfiniteSamples, NamesTheDensityWhenEveryLayerIsFinite) {
  workspace_.input().col(3).setConstant(1e200);  // its square overflows

  const nlohmann::json found = samples();

  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].at("row"), 43);
  EXPECT_EQ(found[0].at("first_not_finite"), "log-slopes or latent density");
  EXPECT_EQ(found[0].at("log_likelihood_nats"), "-inf");
}

PreparedBatch<double> some_batch() {
  PreparedBatch<double> batch;
  batch.x = Matrix<double>::Ones(2, 3);
  batch.count = 3;
  return batch;
}

TEST(Faults, PoisonOneSampleOfOneRankOnce) {
  const PreparedBatch<double> batch = some_batch();
  Faults<double> here("nan:5:1", 1);
  Faults<double> elsewhere("nan:5:1", 0);

  EXPECT_EQ(here.poisoned(4, &batch), &batch);
  EXPECT_EQ(elsewhere.poisoned(5, &batch), &batch);
  const PreparedBatch<double>* poisoned = here.poisoned(5, &batch);
  ASSERT_NE(poisoned, &batch);
  EXPECT_EQ((poisoned->x.array().isNaN()).count(), 1);
  EXPECT_TRUE(batch.x.allFinite());
  EXPECT_EQ(here.poisoned(5, &batch), &batch);
}

TEST(Faults, MayBeSeveralAndLeaveOthersKindsAlone) {
  const PreparedBatch<double> batch = some_batch();
  Faults<double> faults("nan:1,checkpoint:staged:fail,nan:2", 0);

  EXPECT_NE(faults.poisoned(1, &batch), &batch);
  EXPECT_NE(faults.poisoned(2, &batch), &batch);
  EXPECT_EQ(faults.poisoned(3, &batch), &batch);
  EXPECT_THROW(Faults<double>("nan:x", 0), UsageError);
  EXPECT_THROW(Faults<double>("nan", 0), UsageError);
}

}  // namespace
}  // namespace relgrad
