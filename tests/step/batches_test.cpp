#include "step/batches.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "relgrad/data/prepare.hpp"
#include "support/temporary_directory.hpp"

namespace relgrad {
namespace {

constexpr std::uint64_t rows = 23;
constexpr std::uint64_t seed = 11;
constexpr Index dimension = 16;

TEST(DataPosition, EndsABatchWithTheEpoch) {
  EXPECT_EQ((DataPosition{0, rows}.batch(10)), 10U);
  EXPECT_EQ((DataPosition{20, rows}.batch(10)), 3U);
  EXPECT_EQ((DataPosition{20, rows}.batch(3)), 3U);
  EXPECT_EQ((DataPosition{23, rows}.batch(10)), 10U);
  EXPECT_EQ((DataPosition{0, rows}.batch(100)), rows);
}

TEST(DataPosition, CountsEpochsFromTheSamplesAlone) {
  const DataPosition position{2 * rows + 5, rows};
  EXPECT_EQ(position.epoch(), 2U);
  EXPECT_EQ(position.in_epoch(), 5U);
}

/// 8-bit images behind a logit transform: what a batch holds shows sample, noise and epoch.
class BatchSourceTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = new test::TemporaryDirectory();
    PrepareOptions options;
    options.synthetic = "images";
    options.size = ImageSize{4, 4};
    options.rows = rows;
    options.rows_per_shard = 7;
    options.output = directory_->path() / "data";
    prepare(options);
  }
  static void TearDownTestSuite() { delete directory_; }

  BatchSourceTest()
      : reader_(directory_->path() / "data", read_dataset_info(directory_->path() / "data"),
                "train") {
    LevelCounts counts;
    RawBatch raw;
    counts.dimension = dimension;
    counts.counts.assign(static_cast<std::size_t>(256 * dimension), 0);
    reader_.read_range(0, rows, raw);
    counts.add(raw);
    transform_ = fit_transform<double>({TransformKind::logit, 1e-6, 1.0}, counts);
  }

  BatchSource<double> source(std::int64_t batch_size, int rank, int world_size, bool prefetch) {
    return {reader_, *transform_, seed, batch_size, rank, world_size, prefetch};
  }

  static Matrix<double> samples(const PreparedBatch<double>& batch) {
    return batch.x.leftCols(batch.count);
  }

  /// The 8-bit level under noise and logit.
  static int level_of(double value) {
    const double s = 1.0 / (1.0 + std::exp(-value));
    return static_cast<int>(256.0 * (s - 1e-6) / (1.0 - 2e-6));
  }

  static test::TemporaryDirectory* directory_;
  SplitReader reader_;
  std::unique_ptr<Transform<double>> transform_;
};
test::TemporaryDirectory* BatchSourceTest::directory_ = nullptr;

TEST_F(BatchSourceTest, PartsOfTheRanksSideBySideAreTheBatchOfOneRank) {
  BatchSource<double> alone = source(10, 0, 1, false);
  for (const int world_size : {2, 3, 4}) {
    // The second epoch's last batch has 3 samples: with four ranks one has none.
    for (const std::uint64_t consumed : {std::uint64_t{0}, rows + 10, rows + 20}) {
      const DataPosition position{consumed, rows};
      const PreparedBatch<double>& whole = alone.at(position);
      Matrix<double> together(dimension, whole.count);
      std::vector<double> slopes;
      for (int rank = 0; rank < world_size; ++rank) {
        BatchSource<double> part = source(10, rank, world_size, false);
        const PreparedBatch<double>& batch = part.at(position);
        ASSERT_LE(batch.count, part.capacity());
        EXPECT_EQ(batch.global_count, whole.count);
        together.middleCols(static_cast<Index>(slopes.size()), batch.count) = samples(batch);
        slopes.insert(slopes.end(), batch.log_slope.begin(), batch.log_slope.begin() + batch.count);
      }
      ASSERT_EQ(slopes.size(), static_cast<std::size_t>(whole.count));
      EXPECT_EQ(together, samples(whole)) << world_size << " ranks at " << consumed;
      EXPECT_TRUE(std::equal(slopes.begin(), slopes.end(), whole.log_slope.begin()));
    }
  }
}

TEST_F(BatchSourceTest, HoldsTheSamplesOfTheRowsThatItsPartNames) {
  for (const int world_size : {1, 2, 4}) {
    for (int rank = 0; rank < world_size; ++rank) {
      BatchSource<double> batches = source(10, rank, world_size, false);
      for (const std::uint64_t consumed : {std::uint64_t{0}, std::uint64_t{10}, rows + 20}) {
        const DataPosition position{consumed, rows};
        const PreparedBatch<double>& batch = batches.at(position);

        std::vector<std::uint64_t> named;
        rows_of_part(position, seed, 10, rank, world_size, named);

        RawBatch raw;
        reader_.read(named, raw);
        ASSERT_EQ(batch.count, static_cast<Index>(named.size()));
        for (Index n = 0; n < batch.count; ++n) {
          for (Index i = 0; i < dimension; ++i) {
            EXPECT_EQ(level_of(batch.x(i, n)), raw.uint8_data()[n * dimension + i]);
          }
        }
      }
    }
  }
}

TEST(RowsOfPart, OfAnEpochAreAPermutationInPartsThatJoin) {
  for (const std::uint64_t epoch : {0, 3}) {
    std::vector<std::uint64_t> all;
    DataPosition position{epoch * rows, rows};
    while (position.epoch() == epoch) {
      std::vector<std::uint64_t> whole;
      rows_of_part(position, seed, 10, 0, 1, whole);
      std::vector<std::uint64_t> joined;
      for (int rank = 0; rank < 4; ++rank) {
        std::vector<std::uint64_t> part;
        rows_of_part(position, seed, 10, rank, 4, part);
        joined.insert(joined.end(), part.begin(), part.end());
      }
      EXPECT_EQ(joined, whole);
      all.insert(all.end(), whole.begin(), whole.end());
      position.samples_consumed += whole.size();
    }
    std::ranges::sort(all);
    ASSERT_EQ(all.size(), rows);
    for (std::uint64_t row = 0; row < rows; ++row) EXPECT_EQ(all[row], row);
  }
}

TEST_F(BatchSourceTest, PrefetchingChangesNothing) {
  BatchSource<double> plain = source(10, 1, 2, false);
  BatchSource<double> prefetching = source(10, 1, 2, true);
  DataPosition position{0, rows};
  for (int step = 0; step < 7; ++step) {
    const PreparedBatch<double>& expected = plain.at(position);
    const PreparedBatch<double>& batch = prefetching.at(position);
    EXPECT_EQ(samples(batch), samples(expected)) << step;
    EXPECT_EQ(batch.global_count, expected.global_count);
    position.samples_consumed += static_cast<std::uint64_t>(batch.global_count);
  }
}

TEST_F(BatchSourceTest, AJumpThrowsThePrefetchedBatchAway) {
  BatchSource<double> prefetching = source(10, 0, 1, true);
  BatchSource<double> plain = source(10, 0, 1, false);
  prefetching.at({0, rows});

  const PreparedBatch<double>& batch = prefetching.at({rows, rows});

  EXPECT_EQ(samples(batch), samples(plain.at({rows, rows})));
}

TEST_F(BatchSourceTest, AnEpochHoldsEverySampleOnceAndTheNextHasOtherOrderAndNoise) {
  BatchSource<double> batches = source(static_cast<std::int64_t>(rows), 0, 1, false);
  const Matrix<double> first = samples(batches.at({0, rows}));
  const Matrix<double> second = samples(batches.at({rows, rows}));

  // Noise moves a value inside its level only: levels tell the sample.
  const auto levels = [](const Matrix<double>& x) {
    std::vector<std::vector<int>> all;
    for (Index n = 0; n < x.cols(); ++n) {
      std::vector<int> sample;
      for (const double value : x.col(n)) sample.push_back(level_of(value));
      all.push_back(sample);
    }
    return all;
  };
  EXPECT_THAT(levels(first), testing::UnorderedElementsAreArray(levels(second)));
  std::size_t in_place = 0;
  for (std::size_t n = 0; n < rows; ++n) in_place += levels(first)[n] == levels(second)[n] ? 1 : 0;
  EXPECT_LT(in_place, 5U);  // one is expected of a random order
  // Noise: no value comes twice.
  std::set<double> values(first.data(), first.data() + first.size());
  values.insert(second.data(), second.data() + second.size());
  EXPECT_EQ(values.size(), static_cast<std::size_t>(first.size() + second.size()));
}

TEST_F(BatchSourceTest, ABatchLargerThanTheSplitIsTheSplit) {
  BatchSource<double> batches = source(1000, 0, 1, true);
  EXPECT_EQ(batches.at({0, rows}).count, static_cast<Index>(rows));
  EXPECT_EQ(batches.at({rows, rows}).count, static_cast<Index>(rows));
}

}  // namespace
}  // namespace relgrad
