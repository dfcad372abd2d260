#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <optional>

#include "mpi/long_collectives.hpp"
#include "relgrad/mpi/communicator.hpp"

namespace relgrad::mpi {
namespace {

using Counts = std::vector<std::int64_t>;

/// A number for each rank and place, not the same in float whatever the order of a sum.
template <class T>
T number(int rank, std::size_t i) {
  return static_cast<T>(std::sin(1.0 + 7.0 * rank + 0.001 * static_cast<double>(i)));
}

std::size_t total(const Counts& counts) {
  return static_cast<std::size_t>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
}

/// Short and long parts, of lengths that pieces do not divide; the last rank has none.
std::vector<Counts> lengths(int ranks) {
  std::vector<Counts> all;
  for (const std::int64_t most : {3, 70'001, 2'000'003}) {
    Counts counts;
    for (int r = 0; r < ranks; ++r) counts.push_back(r + 1 == ranks ? 0 : most - 1000 * r % most);
    if (ranks == 1) counts[0] = most;
    all.push_back(counts);
  }
  return all;
}

template <class T>
T farthest(std::span<const T> a, std::span<const T> b) {
  T most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

template <class T>
class Collectives : public testing::Test {};
using Precisions = testing::Types<float, double>;
TYPED_TEST_SUITE(Collectives, Precisions);

TYPED_TEST(Collectives, GatherEveryRanksPart) {
  using T = TypeParam;
  const Communicator comm = Communicator::world();
  for (const Counts& counts : lengths(comm.world_size())) {
    std::vector<T> expected;
    std::size_t begin = 0;
    for (int r = 0; r < comm.world_size(); ++r) {
      if (r == comm.rank()) begin = expected.size();
      const auto count = static_cast<std::size_t>(counts[static_cast<std::size_t>(r)]);
      for (std::size_t i = 0; i < count; ++i) expected.push_back(number<T>(r, i));
    }
    const auto own = static_cast<std::size_t>(counts[static_cast<std::size_t>(comm.rank())]);
    const std::vector<T> mine(expected.begin() + static_cast<std::ptrdiff_t>(begin),
                              expected.begin() + static_cast<std::ptrdiff_t>(begin + own));

    std::vector<T> all(expected.size());
    comm.allgather(std::span<const T>(mine), std::span(all), counts);
    EXPECT_EQ(all, expected);

    std::vector<T> in_place(expected.size());
    std::ranges::copy(mine, in_place.begin() + static_cast<std::ptrdiff_t>(begin));
    comm.allgather(std::span<const T>(in_place).subspan(begin, own), std::span(in_place), counts);
    EXPECT_EQ(in_place, expected);
  }
}

TYPED_TEST(Collectives, ExchangePartsOfAnyLength) {
  using T = TypeParam;
  const Communicator comm = Communicator::world();
  const auto ranks = static_cast<std::size_t>(comm.world_size());
  // From rank a to rank b: from none at all to some hundred thousand.
  const auto length = [](std::size_t a, std::size_t b) {
    return static_cast<std::int64_t>(((a + 2 * b) % 4) * 65'537 + (a == b ? 5 : 0));
  };
  Counts out;
  Counts in;
  for (std::size_t r = 0; r < ranks; ++r) {
    out.push_back(length(static_cast<std::size_t>(comm.rank()), r));
    in.push_back(length(r, static_cast<std::size_t>(comm.rank())));
  }
  std::vector<T> sent;
  std::vector<T> expected;
  for (std::size_t r = 0; r < ranks; ++r) {
    const auto mark = [](int from, std::size_t to) { return from * 100 + static_cast<int>(to); };
    for (std::size_t i = 0; i < static_cast<std::size_t>(out[r]); ++i) {
      sent.push_back(number<T>(mark(comm.rank(), r), i));
    }
    for (std::size_t i = 0; i < static_cast<std::size_t>(in[r]); ++i) {
      expected.push_back(
          number<T>(mark(static_cast<int>(r), static_cast<std::size_t>(comm.rank())), i));
    }
  }
  std::vector<T> received(expected.size());
  comm.alltoall(std::span<const T>(sent), out, std::span(received), in);
  EXPECT_EQ(received, expected);
}

// Long sums add in the order of the ranks: to the bits of a loop that does.
TYPED_TEST(Collectives, AddUpWhatRanksHave) {
  using T = TypeParam;
  const Communicator comm = Communicator::world();
  for (const Counts& counts : lengths(comm.world_size())) {
    const std::size_t size = total(counts);
    std::vector<T> values(size);
    std::vector<T> expected(size);
    for (std::size_t i = 0; i < size; ++i) {
      values[i] = number<T>(comm.rank(), i);
      expected[i] = number<T>(0, i);
      for (int r = 1; r < comm.world_size(); ++r) expected[i] += number<T>(r, i);
    }
    const bool is_long = size > 60'000;
    const T tolerance = is_long ? T(0) : T(4) * std::numeric_limits<T>::epsilon();

    const auto own = static_cast<std::size_t>(counts[static_cast<std::size_t>(comm.rank())]);
    std::size_t begin = 0;
    for (int r = 0; r < comm.rank(); ++r) {
      begin += static_cast<std::size_t>(counts[static_cast<std::size_t>(r)]);
    }
    std::vector<T> mine(own);
    comm.reduce_scatter_sum(std::span<const T>(values), counts, std::span(mine));
    EXPECT_LE(farthest<T>(mine, std::span<const T>(expected).subspan(begin, own)), tolerance);

    comm.allreduce_sum(std::span(values));
    EXPECT_LE(farthest<T>(values, expected), tolerance);
  }
}

/// The ranks as two nodes of half of them each: what one machine can show of several.
class TwoNodes {
 public:
  TwoNodes() {
    MPI_Comm_dup(MPI_COMM_WORLD, &comm_);
    MPI_Comm_rank(comm_, &rank_);
    MPI_Comm_size(comm_, &size_);
    MPI_Comm node = MPI_COMM_NULL;
    MPI_Comm_split(comm_, rank_ / std::max(1, size_ / 2), rank_, &node);
    levels_.emplace(comm_, node);
  }
  ~TwoNodes() {
    levels_.reset();
    MPI_Comm_free(&comm_);
  }
  TwoNodes(const TwoNodes&) = delete;
  TwoNodes& operator=(const TwoNodes&) = delete;
  int rank() const { return rank_; }
  int size() const { return size_; }
  const Levels& levels() const { return *levels_; }

 private:
  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 1;
  std::optional<Levels> levels_;
};

TEST(Levels, OfTwoNodesAreEvenWhereRanksAre) {
  const TwoNodes nodes;
  EXPECT_EQ(nodes.levels().are_even(), nodes.size() % std::max(1, nodes.size() / 2) == 0);
  EXPECT_EQ(nodes.levels().size(), nodes.size());
  if (nodes.size() == 4) {
    EXPECT_EQ(nodes.levels().nodes(), 2);
    EXPECT_EQ(nodes.levels().places(), 2);
  }
}

// Node by node: (x_0 + x_1) + (x_2 + x_3), to the bits.
TYPED_TEST(Collectives, AddUpAndGatherThroughTwoLevels) {
  using T = TypeParam;
  const TwoNodes nodes;
  const Levels& levels = nodes.levels();
  std::vector<T> values(300'001);
  if (!go_by_pairs(levels, values.size() * sizeof(T))) GTEST_SKIP() << "uneven, or one rank alone";
  std::vector<T> expected(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = number<T>(nodes.rank(), i);
    for (int n = 0; n < levels.nodes(); ++n) {
      T sum = number<T>(n * levels.places(), i);
      for (int p = 1; p < levels.places(); ++p) sum += number<T>(n * levels.places() + p, i);
      expected[i] = n == 0 ? sum : expected[i] + sum;
    }
  }
  std::vector<std::byte> room;
  sum_by_pairs(levels, std::span(values), room);

  EXPECT_EQ(farthest<T>(values, expected), T(0));
}

}  // namespace
}  // namespace relgrad::mpi
