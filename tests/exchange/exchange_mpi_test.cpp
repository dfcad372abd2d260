// Every exchange against the sum written down, on any number of ranks.
#include <gtest/gtest.h>

#include "linalg/column_pass.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/exchange/exchange.hpp"
#include "support/central_differences.hpp"

namespace relgrad {
namespace {

// Rank r has r + 1 samples, rank 1 none at all: parts may be uneven and empty.
Index samples_of(int rank) { return rank == 1 ? 0 : rank + 1; }

class EveryExchange : public testing::TestWithParam<const char*> {
 protected:
  const mpi::Communicator comm_ = mpi::Communicator::world();
  const Products products_{ProductBackend::openblas};
  const std::unique_ptr<Exchange<double>> exchange_ =
      make_exchange<double>(GetParam(), comm_, products_);
};

// D = 2 is fewer columns than ranks; 300 is more than one tile of 16 at the smallest tile width.
TEST_P(EveryExchange, MovesEveryColumnByTheSumOverRanksWithUnevenAndEmptyParts) {
  for (const Index d : {2, 50, 300}) {
    const auto left_of = [&](int r) {
      return test::normal_matrix<double>(d, samples_of(r), static_cast<std::uint64_t>(10 + r));
    };
    const auto right_of = [&](int r) {
      return test::normal_matrix<double>(d, samples_of(r), static_cast<std::uint64_t>(20 + r));
    };
    const Matrix<double> start = test::normal_matrix<double>(d, d, 30);

    Matrix<double> w = start;
    const Matrix<double> left = left_of(comm_.rank());
    const Matrix<double> right = right_of(comm_.rank());
    Index applied = 0;
    exchange_->outer_product(test::const_view(left), test::const_view(right),
                             [&](Index begin, const ConstMatrixMap<double>& tile) {
                               w.middleCols(begin, tile.cols()) += tile;
                               applied += tile.cols();
                             });
    exchange_->publish(test::view(w));

    Matrix<double> expected = start;
    for (int r = 0; r < comm_.world_size(); ++r) expected += left_of(r) * right_of(r).transpose();
    // Sums of at most 10 products of normal draws: a few hundred roundings of 1e-16.
    EXPECT_LE((w - expected).cwiseAbs().maxCoeff(), 1e-12) << "D = " << d;
    EXPECT_EQ(applied, exchange_->own_columns(d).size()) << "D = " << d;
  }
}

TEST_P(EveryExchange, LeavesAllRanksWithTheSameBits) {
  const Index d = 61;
  const Matrix<double> left =
      test::normal_matrix<double>(d, 7, static_cast<std::uint64_t>(comm_.rank()));
  Matrix<double> w = Matrix<double>::Zero(d, d);
  exchange_->outer_product(test::const_view(left), test::const_view(left),
                           [&](Index begin, const ConstMatrixMap<double>& tile) {
                             w.middleCols(begin, tile.cols()) = tile;
                           });
  exchange_->publish(test::view(w));
  const std::string bits(reinterpret_cast<const char*>(w.data()), sizeof(double) * 61 * 61);
  for (const std::string& other : comm_.allgather_strings(bits)) EXPECT_EQ(other, bits);
}

TEST_P(EveryExchange, SumsSmallParametersAndCountsWhatItSends) {
  std::vector<double> values(100, 1.0);
  exchange_->sum(values);
  EXPECT_EQ(values[99], static_cast<double>(comm_.world_size()));
  EXPECT_EQ(exchange_->take_cost().bytes_sent, comm_.world_size() > 1 ? 800 : 0);
  EXPECT_EQ(exchange_->take_cost().bytes_sent, 0);
}

TEST_P(EveryExchange, MultipliesAndMovesInOnePassWhereNoRankMustSum) {
  constexpr Index d = 50;
  constexpr Index b = 3;
  const Products ordered(ProductBackend::ordered);
  const auto exchange = make_exchange<double>(GetParam(), comm_, ordered);
  Matrix<double> w = test::normal_matrix<double>(d, d, 1);
  const Matrix<double> start = w;
  const Matrix<double> left = test::normal_matrix<double>(d, b, 2);
  const Matrix<double> factors = test::normal_matrix<double>(d, 2 * b, 3);
  Matrix<double> products = Matrix<double>::Zero(d, 2 * b);

  const bool done = exchange->column_pass(test::const_view(w), test::const_view(left),
                                          test::const_view(factors), test::view(products),
                                          [&](Index begin, const ConstMatrixMap<double>& tile) {
                                            w.middleCols(begin, tile.cols()) += tile;
                                          });

  EXPECT_EQ(done, comm_.world_size() == 1 && ColumnPass<double>::is_available(2 * b));
  const Matrix<double> expected = start.transpose() * factors;
  const Matrix<double> moved = start + left * expected.rightCols(b).transpose();
  EXPECT_LE((products - (done ? expected : 0 * expected)).norm(), 1e-12);
  EXPECT_LE((w - (done ? moved : start)).norm(), 1e-11);
}

TEST_P(EveryExchange, LeavesTheProductsToOthersIfAnotherBackEndIsChosen) {
  Matrix<double> w = Matrix<double>::Identity(5, 5);
  const Matrix<double> factors = Matrix<double>::Ones(5, 2);
  EXPECT_FALSE(exchange_->column_pass(test::const_view(w), test::const_view(factors),
                                      test::const_view(factors), test::view(w), {}));
}

INSTANTIATE_TEST_SUITE_P(Schemes, EveryExchange,
                         testing::Values("dense", "sharded", "factor", "gathered"),
                         [](const auto& scheme) { return std::string(scheme.param); });

TEST(ChooseExchange, TakesFactorsWhileTheyAreSmallerThanTheMatrix) {
  EXPECT_EQ(choose_exchange("auto", {784, 100, 1}), "dense");
  EXPECT_EQ(choose_exchange("auto", {784, 100, 2}), "factor");
  EXPECT_EQ(choose_exchange("auto", {784, 1000, 4}), "sharded");
  EXPECT_EQ(choose_exchange("dense", {784, 100, 2}), "dense");
  EXPECT_EQ(choose_exchange("row", {784, 100, 2}), "row");
  EXPECT_THROW(choose_exchange("column", {784, 100, 2}), UsageError);
}

}  // namespace
}  // namespace relgrad
