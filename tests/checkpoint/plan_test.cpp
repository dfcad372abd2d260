#include "checkpoint/plan.hpp"

#include <gtest/gtest.h>

#include "checkpoint/shard.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad::checkpoint {
namespace {

ConstBlock block(const std::string& name, Index rows, Index cols, Index begin, Index end,
                 TensorType type = TensorType::float64) {
  return {name, type, rows, cols, begin, end, nullptr};
}

/// Splits everything that can be split, over at most every rank.
constexpr WriterPolicy split_all{/*bytes_per_writer=*/1, /*smallest_split=*/1};

/// Columns of the tensor written by each rank, as "rank:begin-end".
std::string written(const Plan& plan, std::size_t tensor) {
  std::string text;
  for (std::size_t rank = 0; rank < plan.of_rank.size(); ++rank) {
    for (const PlannedBlock& planned : plan.of_rank[rank]) {
      if (planned.tensor == tensor)
        text += std::to_string(rank) + ":" + std::to_string(planned.col_begin) + "-" +
                std::to_string(planned.col_end) + " ";
    }
  }
  return text;
}

std::string message_of(const std::vector<std::string>& tables) {
  try {
    make_plan(tables, {});
  } catch (const ShapeError& error) {
    return error.what();
  }
  ADD_FAILURE() << "no error was thrown";
  return "";
}

TEST(CheckpointPlan, SmallTensorsThatAllRanksHoldAreWrittenOnceByTheFirstRank) {
  const std::string table = describe(3, {block("W", 4, 4, 0, 4), block("b", 4, 1, 0, 1)});

  const Plan plan = make_plan({table, table, table}, {});

  EXPECT_EQ(written(plan, 0), "0:0-4 ");
  EXPECT_EQ(written(plan, 1), "0:0-1 ");
  EXPECT_EQ(plan.bytes, 20 * sizeof(double));
  EXPECT_EQ(plan.shard_of(0), "shard-0000.h5");
}

TEST(CheckpointPlan, LargeTensorsThatAllRanksHoldAreSplitByColumnsOverTheWriters) {
  const std::string table = describe(3, {block("W", 4, 5, 0, 5)});

  EXPECT_EQ(written(make_plan({table, table}, split_all), 0), "0:0-2 1:2-5 ");
  // 160 bytes, 80 a writer: two writers, one in each half of the ranks.
  EXPECT_EQ(written(make_plan({table, table, table, table}, {80, 1}), 0), "0:0-2 2:2-5 ");
}

TEST(CheckpointPlan, DisjointBlocksAreWrittenByTheirHolders) {
  const Plan plan = make_plan({describe(0, {block("W", 2, 5, 2, 5)}), describe(0, {}),
                               describe(0, {block("W", 2, 5, 0, 2)})},
                              {});

  EXPECT_EQ(written(plan, 0), "0:2-5 2:0-2 ");
  EXPECT_EQ(plan.shard_of(0), "shard-0000.h5");
  EXPECT_EQ(plan.shard_of(2), "shard-0001.h5");
}

TEST(CheckpointPlan, ARangeHeldBySeveralDataGroupsIsWrittenOnce) {
  const std::string left = describe(0, {block("W", 2, 4, 0, 2)});
  const std::string right = describe(0, {block("W", 2, 4, 2, 4)});

  EXPECT_EQ(written(make_plan({left, right, left, right}, {}), 0), "0:0-2 1:2-4 ");
}

TEST(CheckpointPlan, MoreWritersThanColumnsLeavesSomeIdle) {
  const std::string table = describe(0, {block("b", 9, 1, 0, 1)});

  EXPECT_EQ(written(make_plan({table, table, table}, split_all), 0), "2:0-1 ");
}

TEST(CheckpointPlan, MistakesOfTheCallerAreNamed) {
  const std::string whole = describe(0, {block("W", 2, 4, 0, 4)});
  EXPECT_NE(message_of({whole, describe(1, {})}).find("step 1"), std::string::npos);
  EXPECT_NE(message_of({describe(0, {block("W", 2, 4, 0, 3)})}).find("held by no rank"),
            std::string::npos);
  EXPECT_NE(message_of({whole, describe(0, {block("W", 2, 4, 1, 3)})}).find("in two ways"),
            std::string::npos);
  EXPECT_NE(message_of({whole, describe(0, {block("W", 3, 4, 0, 4)})}).find("3 x 4"),
            std::string::npos);
  EXPECT_NE(message_of({whole, describe(0, {block("W", 2, 4, 0, 4, TensorType::float32)})})
                .find("float32"),
            std::string::npos);
  EXPECT_NE(message_of({describe(0, {block("W", 2, 4, 0, 2), block("W", 2, 4, 2, 4)})})
                .find("two blocks"),
            std::string::npos);
  EXPECT_NE(message_of({describe(0, {block("W", 2, 4, 2, 5)})}).find("[2, 5)"), std::string::npos);
}

TEST(CheckpointHash, IsTheSameForEveryPartitionOfTheColumnsAndForNoOtherOrder) {
  std::vector<double> values(3 * 7);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = 0.1 * static_cast<double>(i);
  const std::uint64_t bytes = 3 * sizeof(double);
  const std::uint64_t whole = hash_of_columns(values.data(), bytes, 0, 7);

  for (Index cut = 0; cut <= 7; ++cut) {
    EXPECT_EQ(whole, hash_of_columns(values.data(), bytes, 0, cut) +
                         hash_of_columns(values.data() + 3 * cut, bytes, cut, 7));
  }
  std::swap_ranges(values.begin(), values.begin() + 3, values.begin() + 3);
  EXPECT_NE(whole, hash_of_columns(values.data(), bytes, 0, 7));
}

}  // namespace
}  // namespace relgrad::checkpoint
