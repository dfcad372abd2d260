#include "relgrad/core/random.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace relgrad {
namespace {

using Words = std::array<std::uint32_t, 4>;

// Random123, tests/kat_vectors: "philox4x32 10", counter, key, result.
TEST(RandomStream, IsPhilox4x32WithTenRoundsByItsKnownAnswers) {
  EXPECT_EQ(RandomStream(0, static_cast<Purpose>(0), 0, 0).block(0),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(
      RandomStream(~0ULL, static_cast<Purpose>(0xff), 0xffffffff, (1ULL << 56U) - 1).block(~0U),
      (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(RandomStream, KeepsSeedPurposeEpochItemAndBlockInWordsOfTheirOwn) {
  // counter 243f6a88 85a308d3 13198a2e 03707344, key a4093822 299f31d0
  const RandomStream stream(0x299f31d0a4093822, static_cast<Purpose>(0x03), 0x85a308d3,
                            0x70734413198a2e);
  EXPECT_EQ(stream.block(0x243f6a88), (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomStream, DiffersBySeedPurposeEpochItemAndBlock) {
  const std::set<Words> blocks = {
      RandomStream(1, Purpose::test, 1, 1).block(1),
      RandomStream(2, Purpose::test, 1, 1).block(1),
      RandomStream(1ULL << 32U, Purpose::test, 1, 1).block(1),
      RandomStream(1, Purpose::synthetic, 1, 1).block(1),
      RandomStream(1, Purpose::test, 2, 1).block(1),
      RandomStream(1, Purpose::test, 1, 2).block(1),
      RandomStream(1, Purpose::test, 1, 1ULL << 32U).block(1),
      RandomStream(1, Purpose::test, 1, 1).block(2),
      // a sum of the words would make these two one
      RandomStream(1, Purpose::test, 2, 0).block(1),
      RandomStream(1, Purpose::test, 0, 2).block(1),
  };
  EXPECT_EQ(blocks.size(), 10U);
}

TEST(RandomStream, UniformIsTheWordsAsFractionsStrictlyInsideZeroAndOne) {
  const RandomStream stream(3, Purpose::test, 0, 0);
  std::vector<double> doubles(1 << 20U);
  std::vector<float> floats(doubles.size());

  stream.uniform(doubles);
  stream.uniform(floats);

  for (std::size_t i = 0; i < doubles.size(); ++i) {
    const std::uint32_t word = stream.block(static_cast<std::uint32_t>(i / 4))[i % 4];
    ASSERT_EQ(doubles[i], (static_cast<double>(word) + 0.5) / 4294967296.0) << i;
    ASSERT_EQ(floats[i], (static_cast<float>(word >> 9U) + 0.5F) / 8388608.0F) << i;
    ASSERT_TRUE(floats[i] > 0.0F && floats[i] < 1.0F) << i;
  }
}

TEST(RandomStream, PositionsDoNotDependOnHowManyAreDrawn) {
  const RandomStream stream(4, Purpose::test, 5, 6);
  std::vector<double> many(11);
  stream.normal(many);
  for (std::size_t count = 0; count < many.size(); ++count) {
    std::vector<double> few(count);
    stream.normal(few);
    EXPECT_TRUE(std::equal(few.begin(), few.end(), many.begin())) << count;
  }
}

TEST(RandomStream, NormalHasTheMomentsOfTheNormalDistribution) {
  constexpr std::size_t n = 1 << 20U;
  std::vector<double> draws(n);
  RandomStream(5, Purpose::test, 0, 0).normal(draws);
  std::array<double, 4> moments{};
  double neighbours = 0;
  for (std::size_t i = 0; i < n; ++i) {
    ASSERT_TRUE(std::isfinite(draws[i]));
    double power = 1;
    for (double& moment : moments) moment += (power *= draws[i]) / n;
    neighbours += draws[i] * draws[(i + 1) % n] / n;
  }
  // Five standard errors: the variances of x, x^2, x^3, x^4 are 1, 2, 15, 96.
  const double unit = 5 / std::sqrt(static_cast<double>(n));
  EXPECT_NEAR(moments[0], 0, unit);
  EXPECT_NEAR(moments[1], 1, unit * std::sqrt(2.0));
  EXPECT_NEAR(moments[2], 0, unit * std::sqrt(15.0));
  EXPECT_NEAR(moments[3], 3, unit * std::sqrt(96.0));
  EXPECT_NEAR(neighbours, 0, unit);
}

TEST(RandomStream, SinglePrecisionNormalsAreTheDoubleOnesRounded) {
  const RandomStream stream(6, Purpose::test, 0, 0);
  std::vector<double> doubles(9);
  std::vector<float> floats(9);
  stream.normal(doubles);
  stream.normal(floats);
  for (std::size_t i = 0; i < floats.size(); ++i) {
    EXPECT_EQ(floats[i], static_cast<float>(doubles[i]));
  }
}

}  // namespace
}  // namespace relgrad
