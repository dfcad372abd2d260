#include "commands/audit_order.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "relgrad/core/error.hpp"

namespace relgrad {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

/// "state" of a checkpoint of a run over 23 rows in batches of 10: 3 steps an epoch.
json some_state() {
  return {{"seed", 11},
          {"rows", 23},
          {"step", 4},
          {"samples_consumed", 33},
          {"options", {{"batch-size", "10"}}},
          {"history", json::array()}};
}

json change(std::int64_t step, std::uint64_t samples_consumed, const std::string& text) {
  return {
      {"step", step}, {"samples_consumed", samples_consumed}, {"changes", {"lr: 1 -> 2", text}}};
}

/// samples_consumed and batch size of each of the steps.
std::vector<std::pair<std::uint64_t, std::int64_t>> steps(const json& state, std::int64_t from,
                                                          std::int64_t to) {
  std::vector<std::pair<std::uint64_t, std::int64_t>> all;
  for_each_step(order_of_run(state), from, to,
                [&](std::int64_t step, const DataPosition& position, std::int64_t batch_size) {
                  EXPECT_EQ(step, from + static_cast<std::int64_t>(all.size()));
                  all.emplace_back(position.samples_consumed, batch_size);
                });
  return all;
}

TEST(RunOrder, EndsABatchWithTheEpochAndGoesOnBeyondTheCheckpoint) {
  EXPECT_THAT(steps(some_state(), 0, 7),
              ElementsAre(std::pair(0, 10), std::pair(10, 10), std::pair(20, 10), std::pair(23, 10),
                          std::pair(33, 10), std::pair(43, 10), std::pair(46, 10)));
  EXPECT_THAT(steps(some_state(), 5, 6), ElementsAre(std::pair(43, 10)));
}

TEST(RunOrder, IsKnownFarAwayWithoutCountingUpToIt) {
  constexpr std::int64_t epochs = 1000000000;
  EXPECT_THAT(steps(some_state(), 3 * epochs + 1, 3 * epochs + 4),
              ElementsAre(std::pair(23ULL * epochs + 10, 10), std::pair(23ULL * epochs + 20, 10),
                          std::pair(23ULL * epochs + 23, 10)));
  EXPECT_THROW(steps(some_state(), std::int64_t{1} << 40, (std::int64_t{1} << 40) + 1),
               CheckpointError);
}

TEST(RunOrder, KnowsBatchSizesThatChangedAtResumes) {
  json state = some_state();
  state["options"]["batch-size"] = "8";
  state["history"] = {change(2, 20, "batch-size: 10 -> 5"), change(4, 28, "batch-size: 5 -> 8")};
  state["step"] = 5;
  state["samples_consumed"] = 36;

  EXPECT_THAT(steps(state, 0, 6),
              ElementsAre(std::pair(0, 10), std::pair(10, 10), std::pair(20, 5), std::pair(23, 5),
                          std::pair(28, 8), std::pair(36, 8)));
}

TEST(RunOrder, WithoutAHistoryIsKnownFromTheCheckpointOn) {
  json state = some_state();
  state.erase("history");
  state["samples_consumed"] = 20;  // 4 steps of 5

  EXPECT_THAT(steps(state, 4, 6), ElementsAre(std::pair(20, 10), std::pair(23, 10)));
  try {
    steps(state, 3, 6);
    FAIL() << "an order that is not known was told";
  } catch (const CheckpointError& error) {
    EXPECT_THAT(error.what(), HasSubstr("--from-step: 3 is before step 4"));
  }
}

}  // namespace
}  // namespace relgrad
