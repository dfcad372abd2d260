#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "data/planted_ica.hpp"
#include "data/random_flow.hpp"
#include "data/sample_files.hpp"
#include "data/sample_source.hpp"
#include "data/toy.hpp"

namespace relgrad {
namespace {

using test::message_of;
using testing::ElementsAre;
using testing::HasSubstr;

template <class T>
std::vector<T> draw(const std::string& kind, std::uint64_t seed, std::uint64_t rows,
                    std::uint64_t at_once = 7) {
  const auto source = make_synthetic_source(kind, seed, rows, std::nullopt);
  const std::uint64_t width = source->row_bytes() / sizeof(T);
  std::vector<T> values(rows * width);
  for (std::uint64_t row = 0; row < rows; row += at_once) {
    const std::uint64_t count = std::min(at_once, rows - row);
    source->next(count, reinterpret_cast<std::byte*>(values.data() + row * width), nullptr);
  }
  return values;
}

TEST(SyntheticSources, AreAFunctionOfSeedAndRowAlone) {
  for (const char* kind : {"toy:moons", "flow:3"}) {
    EXPECT_EQ(draw<float>(kind, 1, 20, 20), draw<float>(kind, 1, 20, 3)) << kind;
    EXPECT_NE(draw<float>(kind, 1, 20), draw<float>(kind, 2, 20)) << kind;
  }
  EXPECT_EQ(draw<std::uint8_t>("images", 1, 5, 5), draw<std::uint8_t>("images", 1, 5, 2));
  EXPECT_NE(draw<std::uint8_t>("images", 1, 5), draw<std::uint8_t>("images", 2, 5));
}

TEST(SyntheticImages, HaveTheSizeAskedForAndNeighboursThatResembleEachOther) {
  const auto source = make_synthetic_source("images", 1, 50, ImageSize{12, 20});
  EXPECT_THAT(source->sample_shape(), ElementsAre(1, 12, 20));

  const std::vector<std::uint8_t> pixels = draw<std::uint8_t>("images", 1, 50);

  const double mean =
      std::accumulate(pixels.begin(), pixels.end(), 0.0) / static_cast<double>(pixels.size());
  double variance = 0;
  double covariance = 0;
  for (std::size_t i = 1; i < pixels.size(); ++i) {
    variance += (pixels[i] - mean) * (pixels[i] - mean);
    covariance += (pixels[i] - mean) * (pixels[i - 1] - mean);
  }
  EXPECT_GT(covariance / variance, 0.8);
  EXPECT_GT(std::sqrt(variance / static_cast<double>(pixels.size())), 15.0);
}

TEST(Toys, AreFiniteAndAboutTheOrigin) {
  for (const std::string& name : toy_names()) {
    for (const float value : draw<float>("toy:" + name, 3, 1000)) {
      EXPECT_LT(std::abs(value), 6.0F) << name;  // also false for NaN
    }
  }
}

TEST(Toys, GaussianHasTheCovarianceItsEntropyIsComputedFrom) {
  constexpr std::uint64_t rows = 200000;
  const std::vector<float> points = draw<float>("toy:gaussian", 3, rows, 1000);

  double xx = 0;
  double xy = 0;
  double yy = 0;
  for (std::size_t i = 0; i < rows; ++i) {
    xx += points[2 * i] * points[2 * i] / static_cast<double>(rows);
    xy += points[2 * i] * points[2 * i + 1] / static_cast<double>(rows);
    yy += points[2 * i + 1] * points[2 * i + 1] / static_cast<double>(rows);
  }
  // H = log(2 pi e) + 1/2 log det C; its deviation over n samples is sqrt(D / (2 n)) = 1 / sqrt(n).
  const double entropy = std::log(2 * M_PI * M_E) + std::log(xx * yy - xy * xy) / 2;
  EXPECT_NEAR(Toy("gaussian").entropy_nats(), entropy, 5 / std::sqrt(static_cast<double>(rows)));
}

TEST(Toys, CheckerboardFillsEightSquaresOfAreaFourEvenly) {
  constexpr std::uint64_t rows = 40000;
  const std::vector<float> points = draw<float>("toy:checkerboard", 3, rows, 1000);

  std::array<double, 16> counts{};
  for (std::size_t i = 0; i < rows; ++i) {
    const auto column = static_cast<std::size_t>(std::floor((points[2 * i] + 4) / 2));
    const auto row = static_cast<std::size_t>(std::floor((points[2 * i + 1] + 4) / 2));
    ++counts.at(4 * row + column);
  }
  for (std::size_t square = 0; square < 16; ++square) {
    const bool dark = (square / 4 + square % 4) % 2 == 0;
    EXPECT_NEAR(counts[square], dark ? rows / 8.0 : 0.0, dark ? 5 * std::sqrt(rows / 8.0) : 0.0);
  }
  EXPECT_NEAR(Toy("checkerboard").entropy_nats(), std::log(8 * 4.0), 1e-15);
}

TEST(Toys, EntropyOfOneCentreIsThatOfANormal) {
  // H = log(2 pi e sigma^2)
  EXPECT_NEAR((GaussianCloud{{{1.0, -2.0}}, 0.3}.entropy_nats()), std::log(2 * M_PI * M_E * 0.09),
              1e-9);
}

TEST(Toys, CurvesHaveTheEntropyThatTheirSamplesMeet) {
  for (const std::string& name : toy_names()) {
    const Toy toy(name);
    const auto cloud = toy.cloud();
    if (!cloud) continue;
    constexpr std::uint64_t rows = 1500;
    const std::vector<float> points = draw<float>("toy:" + name, 3, rows, 100);

    double sum = 0;
    double squares = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      const double log_density = std::log(cloud->density({points[2 * i], points[2 * i + 1]}));
      sum += log_density;
      squares += log_density * log_density;
    }

    const double mean = sum / rows;
    const double standard_error = std::sqrt((squares / rows - mean * mean) / rows);
    EXPECT_LT(standard_error, 0.04) << name;
    EXPECT_NEAR(-mean, toy.entropy_nats(), 5 * standard_error) << name;
  }
}

TEST(PlantedIca, SourcesAreIndependentOfVarianceOneAndBehindTheMixture) {
  const PlantedIca ica(/*seed=*/5, /*dimension=*/4);
  constexpr int samples = 40000;

  Matrix<double> s(4, samples);
  Matrix<double> u(4, samples);
  for (int n = 0; n < samples; ++n) {
    s.col(n) = ica.sources(RandomStream(5, Purpose::test, 0, static_cast<std::uint64_t>(n)));
    u.col(n) = ica.mixing() * s.col(n);
  }

  // The deviation of a mean of s_i s_j is at most that of Laplace's s^2, sqrt(5 / n).
  const double bound = 5 * std::sqrt(5.0 / samples);
  const Matrix<double> covariance = s * s.transpose() / samples;
  EXPECT_LT((covariance - Matrix<double>::Identity(4, 4)).cwiseAbs().maxCoeff(), bound);
  EXPECT_LT(((u * u.transpose() / samples).diagonal().array() - 1).abs().maxCoeff(), 2 * bound);
  // Fourth moments tell heavy tails, 6, from none, 9/5.
  EXPECT_GT(s.row(0).array().pow(4).mean(), 5.0);
  EXPECT_LT(s.row(1).array().pow(4).mean(), 1.9);
  const Vector<double> x = ica.mix(s.col(0));
  EXPECT_NEAR(x(2), std::tanh(u(2, 0)) + 0.3 * u(2, 0), 1e-14);
}

TEST(RandomFlow, DensityOfOneDimensionIntegratesToOneAndGivesItsEntropy) {
  const RandomFlow flow(/*seed=*/11, /*dimension=*/1);

  double mass = 0;
  double entropy = 0;
  constexpr double step = 1e-2;  // the trapezoid rule on a smooth density far beyond its width
  for (double x = -150; x < 150; x += step) {
    const double log_density = flow.log_density(Vector<double>::Constant(1, x));
    mass += step * std::exp(log_density);
    entropy -= step * std::exp(log_density) * log_density;
  }

  EXPECT_NEAR(mass, 1.0, 1e-9);
  EXPECT_NEAR(flow.entropy_nats(), entropy, 1e-8);
}

TEST(RandomFlow, MeanLogDensityOfItsSamplesMeetsTheEntropy) {
  constexpr Index dimension = 5;
  constexpr int samples = 20000;
  const RandomFlow flow(/*seed=*/4, dimension);

  double sum = 0;
  double squares = 0;
  Vector<double> z(dimension);
  for (int i = 0; i < samples; ++i) {
    RandomStream(/*seed=*/17, Purpose::test, 0, static_cast<std::uint64_t>(i))
        .normal(std::span<double>(z.data(), dimension));
    const double log_density = flow.log_density(flow.sample(z));
    sum += log_density;
    squares += log_density * log_density;
  }

  const double mean = sum / samples;
  const double standard_error = std::sqrt((squares / samples - mean * mean) / samples);
  EXPECT_LT(standard_error, 0.02);
  EXPECT_NEAR(-mean, flow.entropy_nats(), 5 * standard_error);
}

TEST(SyntheticSources, RecordTheEntropyWhereItIsKnown) {
  const auto entropy = [](const char* kind) {
    return make_synthetic_source(kind, 1, 1, std::nullopt)->true_entropy_nats();
  };

  EXPECT_TRUE(entropy("flow").has_value());
  EXPECT_TRUE(entropy("toy:gaussian").has_value());
  EXPECT_TRUE(entropy("toy:moons").has_value());
  EXPECT_FALSE(entropy("ica").has_value());
  EXPECT_FALSE(entropy("images").has_value());
}

TEST(SyntheticSources, NameTheChoicesWhenAskedForAnother) {
  const auto trouble = [](const char* kind) {
    return message_of<UsageError>([&] { make_synthetic_source(kind, 1, 1, std::nullopt); });
  };

  EXPECT_THAT(trouble("pictures"),
              HasSubstr("choose images, toy:NAME, flow[:D], ica[:D] or ica-segments[:D"));
  EXPECT_THAT(trouble("toy:moon"), HasSubstr("gaussian, moons, rings"));
  EXPECT_THAT(trouble("flow:0"), HasSubstr("'0' is no dimension"));
  EXPECT_THAT(trouble("flow:16x"), HasSubstr("'16x' is no dimension"));
}

}  // namespace
}  // namespace relgrad
