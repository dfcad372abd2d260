#include <gtest/gtest.h>

#include "relgrad/mpi/agreement.hpp"

namespace relgrad::mpi {
namespace {

TEST(Agreement, WithoutTroubleNobodyThrows) {
  const Communicator comm = Communicator::world();
  EXPECT_NO_THROW(together(comm, [] {}));
}

TEST(Agreement, TroubleOfOneRankIsThrownByEveryRankWithItsCode) {
  const Communicator comm = Communicator::world();
  const int troubled = comm.world_size() - 1;
  try {
    together(comm, [&] {
      if (comm.rank() == troubled) throw DataError("shard 3 is cut");
    });
    FAIL() << "nobody threw";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::data);
    EXPECT_TRUE(error.agreed());
    EXPECT_NE(std::string(error.what()).find("shard 3 is cut"), std::string::npos);
    // A rank other than the root is named.
    EXPECT_EQ(std::string(error.what()).starts_with("rank "), troubled != 0);
  }
}

TEST(Agreement, OtherExceptionsBecomeInternalErrors) {
  const auto trouble = trouble_in([] { throw std::runtime_error("surprise"); });
  ASSERT_TRUE(trouble.has_value());
  EXPECT_EQ(trouble->code(), ExitCode::internal);
}

TEST(Communicator, SumsExtremesAndTextsAreFormulasInTheNumberOfRanks) {
  const Communicator comm = Communicator::world();
  const int p = comm.world_size();
  std::vector<double> values = {1.0, static_cast<double>(comm.rank())};
  comm.allreduce_sum(std::span<double>(values));
  EXPECT_DOUBLE_EQ(values[0], p);
  EXPECT_DOUBLE_EQ(values[1], p * (p - 1) / 2.0);
  std::vector<std::int64_t> smallest = {comm.rank() + 5};
  comm.allreduce_min(smallest);
  EXPECT_EQ(smallest[0], 5);
  const auto texts =
      comm.allgather_strings(std::string(static_cast<std::size_t>(comm.rank()), 'x'));
  ASSERT_EQ(texts.size(), static_cast<std::size_t>(p));
  for (int r = 0; r < p; ++r) EXPECT_EQ(texts[static_cast<std::size_t>(r)].size(), r);
  EXPECT_EQ(comm.broadcast_string(comm.is_root() ? "hello" : ""), "hello");
}

}  // namespace
}  // namespace relgrad::mpi
