#include "relgrad/data/epoch_order.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "relgrad/core/error.hpp"
#include "relgrad/core/partition.hpp"

namespace relgrad {
namespace {

std::vector<std::uint64_t> order_of(std::uint64_t seed, std::uint32_t epoch, std::uint64_t size) {
  const EpochOrder order(seed, epoch, size);
  std::vector<std::uint64_t> samples;
  for (std::uint64_t i = 0; i < size; ++i) samples.push_back(order.sample_at(i));
  return samples;
}

TEST(EpochOrder, VisitsEverySampleExactlyOnce) {
  for (const std::uint64_t size : {1U, 2U, 3U, 4U, 5U, 16U, 17U, 100U, 1000U, 4096U, 60000U}) {
    std::vector<int> visits(size, 0);

    for (const std::uint64_t sample : order_of(3, 1, size)) {
      ASSERT_LT(sample, size);
      ++visits[sample];
    }

    for (const int count : visits) ASSERT_EQ(count, 1) << "size " << size;
  }
}

TEST(EpochOrder, StaysInsideSizesFarAboveAnyArray) {
  const std::uint64_t size = (std::uint64_t{1} << 40U) + 12345;
  const EpochOrder order(3, 0, size);

  for (std::uint64_t i = 0; i < 1000; ++i) EXPECT_LT(order.sample_at(size - 1 - i), size);
}

TEST(EpochOrder, DiffersBetweenEpochsAndBetweenSeeds) {
  const auto base = order_of(3, 0, 1000);

  EXPECT_NE(base, order_of(3, 1, 1000));
  EXPECT_NE(base, order_of(4, 0, 1000));
  EXPECT_EQ(base, order_of(3, 0, 1000));
}

TEST(EpochOrder, PutsEverySampleFirstAboutEquallyOften) {
  constexpr std::uint64_t size = 10;
  constexpr std::uint32_t epochs = 10000;
  std::vector<double> first(size, 0.0);

  for (std::uint32_t epoch = 0; epoch < epochs; ++epoch) {
    first[EpochOrder(5, epoch, size).sample_at(0)] += 1;
  }

  const double expected = static_cast<double>(epochs) / size;
  for (const double count : first) EXPECT_NEAR(count, expected, 5 * std::sqrt(expected));
}

TEST(EpochOrder, NeighboursInTheFileAreNotNeighboursInTheEpoch) {
  const auto order = order_of(7, 0, 10000);

  int adjacent = 0;
  for (std::size_t i = 1; i < order.size(); ++i) adjacent += order[i] == order[i - 1] + 1 ? 1 : 0;
  EXPECT_LT(adjacent, 10);  // one is expected of a random order
}

TEST(EpochOrder, RefusesPositionsOutsideTheEpoch) {
  EXPECT_THROW(EpochOrder(1, 0, 0).sample_at(0), ShapeError);
  EXPECT_THROW(EpochOrder(1, 0, 7).sample_at(7), ShapeError);
}

TEST(PartOf, CoversAllItemsInOrderWithPartsThatDifferByAtMostOne) {
  for (const std::int64_t count : {0, 1, 3, 4, 7, 100, 101}) {
    for (const int ranks : {1, 2, 3, 4, 7}) {
      std::int64_t next = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        const Range part = part_of(count, rank, ranks);
        EXPECT_EQ(part.begin, next);
        EXPECT_GE(part.size(), count / ranks);
        EXPECT_LE(part.size(), (count + ranks - 1) / ranks);
        next = part.end;
      }
      EXPECT_EQ(next, count);
    }
  }
}

}  // namespace
}  // namespace relgrad
