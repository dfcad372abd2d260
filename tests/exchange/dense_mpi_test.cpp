#include <gtest/gtest.h>

#include "relgrad/core/error.hpp"
#include "relgrad/exchange/exchange.hpp"
#include "support/central_differences.hpp"

namespace relgrad {
namespace {

// Rank r has r + 1 samples, rank 1 none at all: parts may be uneven and empty.
Index samples_of(int rank) { return rank == 1 ? 0 : rank + 1; }

TEST(DenseExchange, SumsOuterProductsOverRanksWithUnevenAndEmptyParts) {
  const auto comm = mpi::Communicator::world();
  const Products products(ProductBackend::openblas);
  const auto exchange = make_exchange<double>("dense", comm, products);
  const Index d = 50;
  const auto left_of = [&](int r) {
    return test::normal_matrix<double>(d, samples_of(r), static_cast<std::uint64_t>(10 + r));
  };
  const auto right_of = [&](int r) {
    return test::normal_matrix<double>(d, samples_of(r), static_cast<std::uint64_t>(20 + r));
  };

  Matrix<double> sum = Matrix<double>::Constant(d, d, -1.0);
  const Matrix<double> left = left_of(comm.rank());
  const Matrix<double> right = right_of(comm.rank());
  exchange->outer_product(test::const_view(left), test::const_view(right),
                          [&](Index begin, const ConstMatrixMap<double>& tile) {
                            sum.middleCols(begin, tile.cols()) = tile;
                          });

  Matrix<double> expected = Matrix<double>::Zero(d, d);
  for (int r = 0; r < comm.world_size(); ++r) expected += left_of(r) * right_of(r).transpose();
  EXPECT_LE((sum - expected).cwiseAbs().maxCoeff(), 1e-12);
}

TEST(DenseExchange, CountsTheBytesItSends) {
  const auto comm = mpi::Communicator::world();
  const Products products(ProductBackend::openblas);
  const auto exchange = make_exchange<float>("auto", comm, products);
  std::vector<float> values(100, 1.0F);
  exchange->sum(values);
  EXPECT_EQ(values[99], static_cast<float>(comm.world_size()));
  EXPECT_EQ(exchange->take_cost().bytes_sent, comm.world_size() > 1 ? 400 : 0);
  EXPECT_EQ(exchange->take_cost().bytes_sent, 0);
}

TEST(Exchange, OfAnUnknownNameIsAUsageError) {
  const auto comm = mpi::Communicator::world();
  EXPECT_THROW(make_exchange<double>("rows", comm, Products(ProductBackend::openblas)), UsageError);
}

}  // namespace
}  // namespace relgrad
