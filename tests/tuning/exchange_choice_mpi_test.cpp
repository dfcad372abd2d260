// Every rank runs every test; run with 1, 2 and 4 ranks.
#include <gtest/gtest.h>

#include <set>

#include "bench/bench_exchange.hpp"
#include "exchange/link_rates.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/model/model_line.hpp"
#include "tuning/exchange_choice.hpp"

namespace relgrad {
namespace {

FlowWork work_of_layers(Index dimension) {
  const LayerSpec activation{"smooth-leaky-relu", {}};
  return work_of(make_flow_spec(dimension, 2, activation, {"none", {}}, Latent::normal));
}

class ExchangeChoiceTest : public testing::Test {
 protected:
  TrainOptions options(const std::string& exchange) const {
    TrainOptions options;
    options.exchange = exchange;
    options.activation = "smooth-leaky-relu";
    options.batch_size = 16;
    return options;
  }
  /// The same on every rank, or the test fails.
  std::string chosen(const TrainOptions& options, Index dimension) const {
    return chosen(options, work_of_layers(dimension));
  }
  std::string chosen(const TrainOptions& options, const FlowWork& work) const {
    const std::string text =
        choose_sharing<float>(options, work, comm_, Products(ProductBackend::openblas))
            .choice.text();
    const std::vector<std::string> all = comm_.allgather_strings(text);
    EXPECT_EQ(std::set<std::string>(all.begin(), all.end()).size(), 1U);
    return text;
  }

  mpi::Communicator comm_ = mpi::Communicator::world();
  int ranks_ = comm_.world_size();
};

TEST_F(ExchangeChoiceTest, BytesThatAStepSendsAreThoseOfTheModel) {
  BenchStepOptions bench;
  bench.dim = 24;  // what the ranks divide, so that all have the same
  bench.batch_size = 16;
  bench.steps = 3;
  bench.warmup = 1;
  TrainOptions train = options("auto");
  const std::vector<ExchangeChoice> choices = all_exchanges(ranks_);
  for (const ExchangeTime& time : time_exchanges(bench, choices, comm_)) {
    const StepCost cost = step_cost(time.choice, shape_of(train, work_of_layers(24), ranks_),
                                    ComputeRates(), GridLinks());
    EXPECT_EQ(static_cast<double>(time.bytes_sent), cost.bytes_sent) << time.choice.text();
  }
}

TEST(CostModel, TakesTheFewestMeetingsOfWhatIsAsFastWithinItsError) {
  const auto cost = [](const char* name, double seconds, double meetings, double memory = 1) {
    StepCost made;
    made.choice = {name, 1};
    made.products = seconds;
    made.meetings = meetings;
    made.memory = memory;
    return made;
  };
  const auto taken = [](const std::vector<StepCost>& costs, double memory = 0) {
    return cheapest(costs, memory).choice.name;
  };
  EXPECT_EQ(taken({cost("dense", 10, 9), cost("gathered", 10.9, 2)}), "gathered");
  EXPECT_EQ(taken({cost("dense", 10, 9), cost("gathered", 11.1, 2)}), "dense");
  EXPECT_EQ(taken({cost("sharded", 10.5, 9), cost("dense", 10, 9)}), "dense");
  EXPECT_EQ(taken({cost("dense", 10, 9), cost("row", 10.5, 2)}), "dense");
  EXPECT_EQ(taken({cost("dense", 10, 9), cost("row", 9, 12)}), "row");
  EXPECT_EQ(taken({cost("dense", 10, 9, 1), cost("gathered", 10, 2, 3)}, 2), "dense");
  EXPECT_EQ(taken({cost("dense", 10, 9, 4), cost("gathered", 10, 2, 3)}, 2), "gathered");
}

TEST_F(ExchangeChoiceTest, ClippingSaysThatItTakesAnother) {
  for (const char* name : {"dense", "sharded", "factor", "gathered"}) {
    TrainOptions clipped = options(name);
    clipped.clip_norm = 1;
    testing::internal::CaptureStderr();
    EXPECT_EQ(chosen(clipped, 64), "dense");
    const bool warns =
        testing::internal::GetCapturedStderr().find("--clip-norm") != std::string::npos;
    EXPECT_EQ(warns, ranks_ > 1 && std::string(name) != "dense") << name;
  }
}

TEST_F(ExchangeChoiceTest, AKeptChoiceOfAutoIsTakenWhereItIsAllowed) {
  const auto again = [&](TrainOptions now, const char* name) {
    const nlohmann::json kept = to_json(ExchangeChoice{name, 1});
    return choose_sharing<float>(now, work_of_layers(600), comm_,
                                 Products(ProductBackend::openblas), kept)
        .choice.text();
  };
  if (ranks_ == 1) GTEST_SKIP() << "one rank has nothing to choose";
  for (const char* name : {"dense", "sharded", "factor", "gathered"}) {
    EXPECT_EQ(again(options("auto"), name), name);
    EXPECT_EQ(again(options("sharded"), name), "sharded");
  }
  TrainOptions clipped = options("auto");
  clipped.clip_norm = 1;
  EXPECT_NE(again(clipped, "factor"), "factor");
}

TEST_F(ExchangeChoiceTest, WhatIsNamedIsTaken) {
  for (const char* name : {"dense", "sharded", "factor", "gathered"}) {
    EXPECT_EQ(chosen(options(name), 600), name);
  }
  EXPECT_EQ(chosen(options("row"), 600), ExchangeChoice({"row", ranks_}).text());
}

TEST_F(ExchangeChoiceTest, AutoMeasuresAndEveryRankTakesTheSame) {
  const std::string text = chosen(options("auto"), 600);
  if (ranks_ == 1) {
    EXPECT_EQ(text, "dense");
  }
}

TEST_F(ExchangeChoiceTest, AutoKeepsToWhatOtherOptionsAllow) {
  TrainOptions plain = options("auto");
  plain.gradient = "plain";
  EXPECT_FALSE(chosen(plain, 600).starts_with("row"));
  TrainOptions clipped = plain;
  clipped.clip_norm = 1;
  EXPECT_EQ(chosen(clipped, 600), "dense");
}

TEST_F(ExchangeChoiceTest, AutoTakesWhatTheLayersOfAModelAllow) {
  const FlowWork without_matrices =
      work_of({{3, 16, 16}, Latent::normal, parse_model_line("glow:2x1:8")});
  EXPECT_EQ(chosen(options("auto"), without_matrices), "dense");
  const FlowWork mixed = work_of({{1, 24, 25}, Latent::normal, parse_model_line("conv:3 linear")});
  EXPECT_FALSE(chosen(options("auto"), mixed).starts_with("row"));
  for (const ExchangeChoice& choice : exchanges_for(shape_of(options("auto"), mixed, 4))) {
    EXPECT_NE(choice.name, "row");
  }
}

TEST_F(ExchangeChoiceTest, AutoGoesByTheFormulaWhereBitsOrASmallDimensionAskForIt) {
  const std::string by_formula = ranks_ == 1 ? "dense" : "factor";
  TrainOptions deterministic = options("auto");
  deterministic.deterministic = true;
  EXPECT_EQ(chosen(deterministic, 600), by_formula);
  EXPECT_EQ(chosen(options("auto"), 100), by_formula);
}

TEST_F(ExchangeChoiceTest, RatesAreTheSameOnEveryRank) {
  const GridLinks links =
      measure_links(comm_, shape_of(options("auto"), work_of_layers(64), ranks_));
  for (const LinkRates& link : {links.all, links.among_sharing(2), links.among_same_columns(2)}) {
    for (const double rate : {link.allreduce.bandwidth, link.reduce_scatter.bandwidth,
                              link.allgather.latency, link.alltoall.bandwidth}) {
      EXPECT_GT(rate, 0);
      for (const double other : comm_.allgather(rate)) EXPECT_EQ(other, rate);
    }
  }
  EXPECT_EQ(links.sharing.count(2), ranks_ > 1 ? 1U : 0U);
  EXPECT_EQ(links.same_columns.count(2), ranks_ == 4 ? 1U : 0U);
}

// MPI aside: the model's own arithmetic.

StepShape shape_on(int ranks) {
  StepShape shape;
  shape.dimension = 3072;
  shape.batch_size = 128;
  shape.ranks = ranks;
  return shape;
}

TEST(CostModel, OneRankExchangesNothing) {
  const StepCost cost = step_cost({"dense", 1}, shape_on(1), {}, {});
  EXPECT_EQ(cost.exchange, 0);
  EXPECT_EQ(cost.bytes_sent, 0);
}

TEST(CostModel, DenseTakesTheTimeOfItsFormula) {
  // Without latency: 2 (P - 1)/P D^2 numbers a layer through the link, and no small parameters.
  const GridLinks link = told_links(125e6, 0);
  const StepCost cost = step_cost({"dense", 1}, shape_on(4), {}, link);
  const double bytes = 2 * 2 * 0.75 * 3072.0 * 3072 * 4;
  EXPECT_NEAR(cost.exchange, (bytes + 2 * 0.75 * 64) / 125e6, 1e-9);
}

TEST(CostModel, AGroupTakesItsOwnRates) {
  GridLinks links = told_links(125e6, 0);
  const ExchangeChoice pairs{"row", 2};
  const double before = step_cost(pairs, shape_on(4), {}, links).exchange;
  links.sharing[2] = told_links(250e6, 0).all;
  const double sharing_faster = step_cost(pairs, shape_on(4), {}, links).exchange;
  links.same_columns[2] = links.sharing[2];
  const double both_faster = step_cost(pairs, shape_on(4), {}, links).exchange;
  EXPECT_LT(sharing_faster, before);
  EXPECT_LT(both_faster, sharing_faster);
  const double whole = step_cost({"row", 4}, shape_on(4), {}, links).exchange;
  EXPECT_EQ(whole, step_cost({"row", 4}, shape_on(4), {}, told_links(125e6, 0)).exchange);
}

TEST(CostModel, ASlowLinkAndASmallBatchAskForWhatMovesLeast) {
  std::vector<StepCost> costs;
  for (const auto& choice : all_exchanges(4)) {
    costs.push_back(step_cost(choice, shape_on(4), {}, told_links(125e6, 50e-6)));
  }
  ASSERT_EQ(costs.size(), 6U);
  EXPECT_EQ(cheapest(costs, 0).choice.text(), "row (4 share every W)");
  EXPECT_GT(costs[0].seconds(), 5 * cheapest(costs, 0).seconds());
}

TEST(CostModel, ALinkThatIsSlowToAnswerAsksForTheFewestMeetings) {
  // As beside other programs: some milliseconds a meeting, whatever it carries.
  StepShape shape;
  shape.ranks = 2;
  std::vector<StepCost> costs;
  for (const auto& choice : all_exchanges(2)) {
    costs.push_back(step_cost(choice, shape, {}, told_links(1e9, 3e-3)));
  }
  EXPECT_EQ(cheapest(costs, 0).choice.text(), "gathered");
}

TEST(CostModel, MemoryDecidesWhereItIsShort) {
  std::vector<StepCost> costs;
  for (const auto& choice : all_exchanges(4)) {
    // Batches that make row slow: 3 N P D > D^2.
    StepShape shape = shape_on(4);
    shape.batch_size = 20000;
    shape.layers = 8;
    costs.push_back(step_cost(choice, shape, {}, told_links(125e6, 50e-6)));
  }
  const StepCost& fastest = cheapest(costs, 0);
  EXPECT_NE(fastest.choice.name, "row");
  StepShape small = shape_on(4);
  const StepCost row = step_cost({"row", 4}, small, {}, {});
  const StepCost dense = step_cost({"dense", 1}, small, {}, {});
  EXPECT_LT(row.memory, 0.4 * dense.memory);
  const std::vector<StepCost> both = {dense, row};
  EXPECT_EQ(cheapest(both, 0.5 * dense.memory).choice.name, "row");
  EXPECT_EQ(cheapest(both, 1).choice.name, "row");  // nothing fits: the smaller
}

}  // namespace
}  // namespace relgrad
