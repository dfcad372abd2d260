// Every rank runs every test; run with 1, 2 and 4 ranks.
#include <gtest/gtest.h>

#include <limits>

#include "linalg/lu.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/exchange/row_group.hpp"
#include "support/central_differences.hpp"

namespace relgrad {
namespace {

using test::const_view;
using test::normal_matrix;
using test::view;

// Not a multiple of the ranks nor of ScaLAPACK's blocks of 64.
constexpr Index dimension = 131;

class RowGroupTest : public testing::Test {
 protected:
  Matrix<double> own_rows(const Matrix<double>& whole) const {
    return whole.middleRows(own_.begin, own_.size());
  }
  Matrix<double> own_columns(const Matrix<double>& whole) const {
    return whole.middleCols(own_.begin, own_.size());
  }

  mpi::Communicator comm_ = mpi::Communicator::world();
  MpiRowGroup<double> group_{comm_, comm_.world_size()};
  Range own_ = group_.own(dimension);
};

TEST_F(RowGroupTest, ReduceScatterGivesEveryRankItsRowsOfTheSum) {
  Matrix<double> sum = Matrix<double>::Zero(dimension, 5);
  for (int r = 0; r < comm_.world_size(); ++r) {
    sum += normal_matrix<double>(dimension, 5, static_cast<std::uint64_t>(r), 1.0);
  }
  const auto partial =
      normal_matrix<double>(dimension, 5, static_cast<std::uint64_t>(comm_.rank()), 1.0);
  Matrix<double> own(own_.size(), 5);

  group_.reduce_scatter(const_view(partial), view(own));

  EXPECT_LT((own - own_rows(sum)).cwiseAbs().maxCoeff(), 1e-14);
}

TEST_F(RowGroupTest, AllgatherPutsTheRowsTogether) {
  const auto whole = normal_matrix<double>(dimension, 6, 3, 1.0);
  const Matrix<double> own = own_rows(whole);
  Matrix<double> all(dimension, 6);

  group_.allgather(const_view(own), view(all));

  EXPECT_EQ(all, whole);
}

TEST_F(RowGroupTest, SamplesOfEveryRankAreSpreadByCoordinates) {
  // rank r brings r samples, so the first none
  const Index count = comm_.rank();
  const Index before = count * (count - 1) / 2;
  const Index total = comm_.world_size() * (comm_.world_size() - 1) / 2;
  const auto all = normal_matrix<double>(dimension, std::max<Index>(1, total), 4, 1.0);

  const auto batch = group_.begin_batch(count);
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->total, total);
  EXPECT_EQ(batch->own.begin, before);
  EXPECT_EQ(batch->own.size(), count);
  const Matrix<double> samples = all.middleCols(before, count);
  Matrix<double> own(own_.size(), total);
  group_.spread(const_view(samples), view(own));

  EXPECT_EQ(own, own_rows(all.leftCols(total)));
}

TEST_F(RowGroupTest, TroubleOfOneRankIsKnownToAll) {
  EXPECT_FALSE(group_.begin_batch(comm_.rank() == comm_.world_size() - 1 ? -1 : 2));
  EXPECT_TRUE(group_.begin_batch(2));
}

TEST_F(RowGroupTest, LogAbsDetIsThatOfTheWholeMatrix) {
  const auto w = normal_matrix<double>(dimension, dimension, 5, 1.0);
  const Matrix<double> columns = own_columns(w);
  const double expected = LuFactors("w", const_view(w)).log_abs_det();

  // sums of `dimension` logarithms, each with rounding errors of 1e-16 times a modest growth
  EXPECT_NEAR(group_.log_abs_det("w", const_view(columns)), expected, 1e-10);
}

TEST_F(RowGroupTest, LogAbsDetInSinglePrecisionIsGoodToAThousandthOfANat) {
  MpiRowGroup<float> group(comm_, comm_.world_size());
  const Matrix<double> w = Matrix<double>::Identity(dimension, dimension) +
                           normal_matrix<double>(dimension, dimension, 6, 0.5 / std::sqrt(131.0));
  const Matrix<float> columns = own_columns(w).cast<float>();

  EXPECT_NEAR(group.log_abs_det("w", const_view(columns)),
              LuFactors("w", const_view(w)).log_abs_det(), 1e-3);
}

TEST_F(RowGroupTest, SolveUndoesTheProduct) {
  const auto w = normal_matrix<double>(dimension, dimension, 7, 1.0);
  const auto x = normal_matrix<double>(dimension, 3, 8, 1.0);
  const Matrix<double> columns = own_columns(w);
  Matrix<double> rows = own_rows(w * x);

  group_.solve("w", const_view(columns), view(rows));

  // rounding of 1e-16 times the condition number, some 1e3 for this size and seed
  EXPECT_LT((rows - own_rows(x)).cwiseAbs().maxCoeff(), 1e-10);
}

TEST_F(RowGroupTest, SingularAndNonFiniteMatricesAreErrorsOnEveryRank) {
  auto w = normal_matrix<double>(dimension, dimension, 9, 1.0);
  w.col(7).setZero();
  Matrix<double> columns = own_columns(w);
  EXPECT_THROW(group_.log_abs_det("layer/0/W", const_view(columns)), DivergedError);

  w(0, dimension - 1) = std::numeric_limits<double>::quiet_NaN();  // the last rank has it
  columns = own_columns(w);
  EXPECT_THROW(group_.log_abs_det("layer/0/W", const_view(columns)), DivergedError);
}

TEST_F(RowGroupTest, RanksThatDoNotDivideAreRefusedWithThoseThatDo) {
  try {
    make_row_group<double>(comm_, comm_.world_size() + 1);
    FAIL() << "not refused";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("does not divide"), std::string::npos);
  }
  EXPECT_EQ(make_row_group<double>(comm_, 1), nullptr);
}

}  // namespace
}  // namespace relgrad
