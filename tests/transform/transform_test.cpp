#include "relgrad/transform/transform.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numbers>

#include "relgrad/core/error.hpp"
#include "support/central_differences.hpp"
#include "transform/kernels/transform_kernels.hpp"
#include "transform/normal_quantile.hpp"

namespace relgrad {
namespace {

using test::const_view;
using test::normal_matrix;
using test::view;

constexpr NoiseKey noise_key{17, Purpose::dequantize_eval, 2};

/// `count` samples of `dimension` pixels; dimension 0 is 7 in every sample.
RawBatch images(Index dimension, Index count) {
  RawBatch batch{ElementType::uint8, dimension, count, {}, {}};
  const Matrix<double> draws = normal_matrix<double>(dimension, count, /*seed=*/5, /*scale=*/90.0);
  for (Index n = 0; n < count; ++n) {
    batch.sample_ids.push_back(static_cast<std::uint64_t>(1000 + n));
    for (Index d = 0; d < dimension; ++d) {
      const double level = d == 0 ? 7.0 : std::clamp(draws(d, n) + 100.0, 0.0, 255.0);
      batch.bytes.push_back(static_cast<std::byte>(level));
    }
  }
  return batch;
}

RawBatch reals(const Matrix<float>& values) {
  RawBatch batch{ElementType::float32, values.rows(), values.cols(), {}, {}};
  batch.bytes.resize(static_cast<std::size_t>(values.size()) * sizeof(float));
  std::memcpy(batch.bytes.data(), values.data(), batch.bytes.size());
  batch.sample_ids.resize(static_cast<std::size_t>(values.cols()));
  return batch;
}

template <class T>
std::unique_ptr<Transform<T>> fitted(TransformKind kind, const RawBatch& batch) {
  LevelCounts counts;
  counts.add(batch);
  return fit_transform<T>({kind, 1e-6, 0.1}, counts);
}

template <class T>
struct Transformed {
  Transformed(const Transform<T>& transform, const RawBatch& batch)
      : x(batch.dimension, batch.count), log_slope(static_cast<std::size_t>(batch.count)) {
    transform.forward(batch, noise_key, view(x), log_slope);
  }
  Matrix<T> x;
  std::vector<double> log_slope;
};

class LevelTransform : public testing::TestWithParam<TransformKind> {};
INSTANTIATE_TEST_SUITE_P(All, LevelTransform,
                         testing::Values(TransformKind::none, TransformKind::logit,
                                         TransformKind::standardize, TransformKind::marginal),
                         [](const auto& parameter) {
                           return std::string(name_of(parameter.param));
                         });

TEST_P(LevelTransform, InverseUndoesForward) {
  const RawBatch batch = images(5, 60);
  const auto precise = fitted<double>(GetParam(), batch);
  const Transformed<double> forward(*precise, batch);
  Matrix<double> values(5, 60);

  precise->inverse(const_view(forward.x), view(values));

  for (Index n = 0; n < 60; ++n) {
    std::vector<double> noise(5);
    RandomStream(noise_key.seed, noise_key.purpose, noise_key.epoch,
                 batch.sample_ids[static_cast<std::size_t>(n)])
        .uniform(noise);
    for (Index d = 0; d < 5; ++d) {
      const double expected = batch.uint8_data()[n * 5 + d] + noise[static_cast<std::size_t>(d)];
      EXPECT_NEAR(values(d, n), expected, 1e-7);
    }
  }
}

TEST_P(LevelTransform, FloatAgreesWithDouble) {
  const RawBatch batch = images(40, 30);

  const Transformed<double> precise(*fitted<double>(GetParam(), batch), batch);
  const Transformed<float> single(*fitted<float>(GetParam(), batch), batch);

  // Noise differs in its last bits (23 and 32 of them), by 2^-23 at most: x by that over 256 s.
  for (Index k = 0; k < precise.x.size(); ++k) {
    EXPECT_NEAR(static_cast<double>(single.x.data()[k]), precise.x.data()[k],
                2e-5 * (1.0 + std::abs(precise.x.data()[k])));
  }
  for (std::size_t n = 0; n < 30; ++n) {
    EXPECT_NEAR(single.log_slope[n], precise.log_slope[n], 3e-3);
  }
}

TEST_P(LevelTransform, RestoresFromItsTables) {
  const RawBatch batch = images(5, 60);
  const auto original = fitted<double>(GetParam(), batch);

  const auto restored =
      restore_transform<double>({GetParam(), 1e-6, 0.1}, ElementType::uint8, 5, original->tables());

  EXPECT_EQ(Transformed<double>(*restored, batch).x, Transformed<double>(*original, batch).x);
  EXPECT_EQ(restored->kind(), GetParam());
}

TEST_P(LevelTransform, NoiseBelongsToTheSampleNotToItsPlace) {
  const RawBatch batch = images(5, 2);
  RawBatch second{ElementType::uint8, 5, 1, {batch.bytes.begin() + 5, batch.bytes.end()}, {1001}};
  const auto transform = fitted<double>(GetParam(), batch);

  EXPECT_EQ(Transformed<double>(*transform, batch).x.col(1),
            Transformed<double>(*transform, second).x.col(0));
}

TEST_P(LevelTransform, IsFiniteAtEveryLevelInSinglePrecision) {
  RawBatch batch{ElementType::uint8, 1, 256, {}, {}};
  for (int level = 0; level < 256; ++level) {
    batch.bytes.push_back(static_cast<std::byte>(level));
    batch.sample_ids.push_back(static_cast<std::uint64_t>(level));
  }
  // Fitted to one constant level: every other one is met for the first time.
  const RawBatch constant{ElementType::uint8, 1, 1, {std::byte{7}}, {0}};

  const Transformed<float> forward(*fitted<float>(GetParam(), constant), batch);

  EXPECT_TRUE(forward.x.allFinite());
  for (Index n = 1; n < 256; ++n) EXPECT_GT(forward.x(0, n), forward.x(0, n - 1) - 1e-3F);
  for (const double value : forward.log_slope) EXPECT_TRUE(std::isfinite(value));
}

// x by v, by central differences through the inverse: dv/dx = 1 / (dx/dv).
TEST_P(LevelTransform, LogSlopeIsTheLogOfTheSlope) {
  const RawBatch batch = images(2, 40);
  const auto transform = fitted<double>(GetParam(), batch);
  const Transformed<double> forward(*transform, batch);

  for (Index n = 0; n < 40; ++n) {
    double log_slope = 0.0;
    for (Index d = 0; d < 2; ++d) {
      Matrix<double> x = forward.x.col(n);
      Matrix<double> values(2, 1);
      const auto value = [&] {
        transform->inverse(const_view(x), view(values));
        return values(d, 0);
      };
      log_slope -= std::log(test::central_difference(value, x(d, 0), 1e-7).value);
    }
    EXPECT_NEAR(forward.log_slope[static_cast<std::size_t>(n)], log_slope, 1e-5);
  }
}

// One pixel behind a normal latent: sum over levels of the mean over noise of the density of v. The
// integrand is smooth inside a level, so the mean over u runs by the midpoint rule on the kernels.
TEST(OnePixel, IntegratesToOneBehindTheLogit) {
  // Substituting x for v leaves the normal's own integral, of which [logit a, -logit a] is all but
  // 1e-40.
  double integral = 0.0;
  constexpr int steps = 4000;
  for (int level = 0; level < 256; ++level) {
    // Most mass of the ends lies at tiny u: u = t^8 there, mirrored at the upper end.
    for (int i = 0; i < steps; ++i) {
      const double t = (i + 0.5) / steps;
      const double power = std::pow(t, 8.0);
      const double weight = 8.0 * std::pow(t, 7.0) / steps;
      const bool is_end = level == 0 || level == 255;
      const double u = !is_end ? t : (level == 0 ? power : 1.0 - power);
      const auto v = static_cast<std::uint8_t>(level);
      double x = 0.0;
      const double log_slope = kernels::logit_forward(&v, &u, &x, 1, 1e-6);
      integral += (is_end ? weight : 1.0 / steps) * std::exp(log_slope - 0.5 * x * x) /
                  std::sqrt(2.0 * std::numbers::pi);
    }
  }

  EXPECT_NEAR(integral, 1.0, 1e-5);
}

// Through the public interface: density at (v, u) for every level, u from the noise stream of many
// samples; each level's mean has the standard error of its draws.
TEST(OnePixel, MarginalGivesEveryLevelItsSmoothedFrequency) {
  const RawBatch data = images(2, 500);
  const auto transform = fitted<double>(TransformKind::marginal, data);
  double total = 0.0;
  for (int level = 0; level < 256; ++level) {
    const auto byte = static_cast<std::byte>(level);
    const RawBatch one{ElementType::uint8, 2, 1, {byte, byte}, {static_cast<std::uint64_t>(level)}};
    const Transformed<double> at(*transform, one);
    // log p(v) of both pixels under normal latents; the density is constant inside a level, so that
    // one draw of u is the mean over u.
    const double log_density =
        at.log_slope[0] - 0.5 * at.x.squaredNorm() - std::log(2.0 * std::numbers::pi);
    int count = 0;
    for (Index n = 0; n < 500; ++n) count += data.uint8_data()[n * 2 + 1] == level ? 1 : 0;
    const double first = ((level == 7 ? 500.0 : 0.0) + 0.1) / (500.0 + 25.6);
    const double second = (count + 0.1) / (500.0 + 25.6);
    EXPECT_NEAR(log_density, std::log(first * second), 1e-9);
    total += std::exp(log_density) / first;
  }

  EXPECT_NEAR(total, 1.0, 1e-10);
}

// The mass of x between the ends, Phi(x(256)) - Phi(x(0)): standardize leaves the rest outside [0,
// 256).
TEST(OnePixel, StandardizeIntegratesToTheMassBetweenTheEnds) {
  const RawBatch data = images(2, 500);
  const auto transform = fitted<double>(TransformKind::standardize, data);
  const auto tables = transform->tables();
  const double mean = tables[0].values[1];
  const double deviation = tables[1].values[1];
  double integral = 0.0;
  for (int level = 0; level < 256; ++level) {
    for (std::uint64_t draw = 0; draw < 400; ++draw) {
      const RawBatch one{
          ElementType::uint8, 2, 1, {std::byte{7}, static_cast<std::byte>(level)}, {draw}};
      const Transformed<double> at(*transform, one);
      const double log_slope = at.log_slope[0] + std::log(tables[1].values[0]);
      integral += std::exp(log_slope - 0.5 * at.x(1, 0) * at.x(1, 0)) / 400.0 /
                  std::sqrt(2.0 * std::numbers::pi);
    }
  }
  const auto phi = [&](double v) {
    return 0.5 * std::erfc(-(v - mean) / deviation / std::numbers::sqrt2);
  };

  EXPECT_NEAR(integral, phi(256.0) - phi(0.0), 1e-4);
}

TEST(LogitLogSlope, IsWhatTheLogitTransformAdds) {
  const RawBatch batch = images(30, 4);
  const Transformed<double> forward(*fitted<double>(TransformKind::logit, batch), batch);
  std::vector<double> log_slope(4);

  add_logit_log_slope(batch, noise_key, 1e-6, log_slope);

  for (std::size_t n = 0; n < 4; ++n) EXPECT_DOUBLE_EQ(log_slope[n], forward.log_slope[n]);
}

template <class T>
class NormalQuantile : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(NormalQuantile, Scalars);

// Phi(-z) = p: an error dz of z is an error of z phi(z) / p dz / z, at most (z^2 + 1) dz / z, of p.
TYPED_TEST(NormalQuantile, IsUndoneByTheDistribution) {
  const double limit = std::is_same_v<TypeParam, float> ? 4e-7 : 2e-15;
  for (double exponent = std::log(0.5); exponent > -60.0; exponent -= 0.01) {
    const auto p = static_cast<TypeParam>(std::exp(exponent));

    const auto z = static_cast<double>(normal_quantile_magnitude(p));

    const double back = 0.5 * std::erfc(z / std::numbers::sqrt2);
    EXPECT_NEAR(back / static_cast<double>(p), 1.0, limit * (z * z + 1.0) + limit) << p;
  }
}

Matrix<float> skewed(Index dimension, Index count) {
  const Matrix<float> normal = normal_matrix<float>(dimension, count, /*seed=*/21);
  return normal.array().exp().matrix();
}

TEST(QuantileMarginal, MakesSkewedDataNormalAndIsUndone) {
  const Matrix<float> data = skewed(3, 4000);
  const auto transform =
      fit_transform<double>({TransformKind::marginal, 1e-6, 0.1}, data.cast<double>().eval());
  const Transformed<double> forward(*transform, reals(data));
  Matrix<double> values(3, 4000);

  transform->inverse(const_view(forward.x), view(values));

  EXPECT_LT((values - data.cast<double>()).cwiseAbs().maxCoeff(), 1e-7);
  EXPECT_NEAR(forward.x.mean(), 0.0, 0.02);
  EXPECT_NEAR(forward.x.array().square().mean(), 1.0, 0.05);
}

TEST(QuantileMarginal, LogSlopeIsTheLogOfTheSlopeAlsoInTheTails) {
  const Matrix<double> data = skewed(1, 1000).cast<double>();
  const auto transform = fit_transform<double>({TransformKind::marginal, 1e-6, 0.1}, data);
  for (const float value : {-1e4F, -1.0F, 0.3F, 1.0F, 2.7F, 50.0F, 1e4F}) {
    const Transformed<double> at(*transform, reals(Matrix<float>::Constant(1, 1, value)));
    Matrix<double> x = at.x;
    Matrix<double> values(1, 1);
    const auto back = [&] {
      transform->inverse(const_view(x), view(values));
      return values(0, 0);
    };

    const double slope = test::central_difference(back, x(0, 0), 1e-5).value;

    EXPECT_NEAR(back(), static_cast<double>(value), 1e-9 * (1.0 + std::abs(value)));
    EXPECT_NEAR(at.log_slope[0], -std::log(slope), 1e-4) << value;
  }
}

TEST(QuantileMarginal, TiesAndConstantColumnsWork) {
  Matrix<float> data(3, 100);
  for (Index n = 0; n < 100; ++n)
    data.col(n) << 5.0F, static_cast<float>(n % 2), static_cast<float>(n % 7);
  for (const TransformKind kind : {TransformKind::marginal, TransformKind::standardize}) {
    const auto transform = fit_transform<float>({kind, 1e-6, 0.1}, data.cast<double>().eval());

    const Transformed<float> forward(*transform, reals(data));

    EXPECT_TRUE(forward.x.allFinite());
    EXPECT_EQ(forward.x(0, 0), 0.0F);
    EXPECT_NEAR(forward.x(1, 0), -forward.x(1, 1), 1e-6);
    EXPECT_TRUE(std::isfinite(forward.log_slope[0]));
  }
}

/// Mean log-density of `test` under the marginal fitted to `data`, nats.
double mean_log_density(const Matrix<float>& data, const Matrix<float>& test) {
  const auto transform =
      fit_transform<double>({TransformKind::marginal, 1e-6, 0.1}, data.cast<double>().eval());
  const Transformed<double> at(*transform, reals(test));
  double sum = 0;
  for (Index n = 0; n < test.cols(); ++n) {
    sum += at.log_slope[static_cast<std::size_t>(n)] - 0.5 * at.x.col(n).squaredNorm() -
           0.5 * static_cast<double>(test.rows()) * std::log(2 * std::numbers::pi);
  }
  return sum / static_cast<double>(test.cols());
}

TEST(QuantileMarginal, HasAsManyKnotsAsTheRowsBearOut) {
  const Matrix<float> test_rows = normal_matrix<float>(4, 20000, /*seed=*/31);
  const double truth = -4 * 0.5 * std::log(2 * std::numbers::pi * std::numbers::e);
  EXPECT_GT(mean_log_density(normal_matrix<float>(4, 60, 32), test_rows), truth - 0.6);
  EXPECT_GT(mean_log_density(normal_matrix<float>(4, 300, 33), test_rows), truth - 0.1);
  EXPECT_GT(mean_log_density(normal_matrix<float>(4, 2000, 34), test_rows), truth - 0.03);
  // Where the data are far from normal, knots are taken: log-normal has entropy 1.4189 nats.
  const Matrix<float> skewed_test = normal_matrix<float>(1, 20000, 35).array().exp().matrix();
  EXPECT_GT(mean_log_density(skewed(1, 2000), skewed_test), -1.47);
}

TEST(QuantileMarginal, IsNotBentByOneExtremeValue) {
  Matrix<float> data = normal_matrix<float>(1, 3000, /*seed=*/36);
  const Matrix<float> test_rows = normal_matrix<float>(1, 20000, /*seed=*/37);
  const double without = mean_log_density(data, test_rows);
  for (const float extreme : {1e5F, 1e9F, 9.97e36F, -9.97e36F}) {
    data(0, 7) = extreme;
    EXPECT_NEAR(mean_log_density(data, test_rows), without, 0.05) << extreme;
  }
}

TEST(QuantileMarginal, RestoresFromItsTables) {
  const Matrix<float> data = skewed(3, 500);
  const auto original =
      fit_transform<double>({TransformKind::marginal, 1e-6, 0.1}, data.cast<double>().eval());

  const auto restored = restore_transform<double>({TransformKind::marginal, 1e-6, 0.1},
                                                  ElementType::float32, 3, original->tables());

  EXPECT_EQ(Transformed<double>(*restored, reals(data)).x,
            Transformed<double>(*original, reals(data)).x);
}

TEST(TransformErrors, SayWhatIsWrong) {
  EXPECT_THROW(parse_transform_kind("log"), UsageError);
  EXPECT_THROW(fit_transform<float>({}, LevelCounts{}), DataError);
  EXPECT_THROW(
      fit_transform<float>({TransformKind::logit, 1e-6, 0.1}, Matrix<double>::Ones(2, 2).eval()),
      UsageError);
  EXPECT_THROW(
      restore_transform<float>({TransformKind::marginal, 1e-6, 0.1}, ElementType::uint8, 5, {}),
      CheckpointError);
  const RawBatch batch = images(5, 2);
  LevelCounts counts;
  counts.add(batch);
  EXPECT_THROW(fit_transform<float>({TransformKind::logit, 0.7, 0.1}, counts), UsageError);
  EXPECT_THROW(fit_transform<float>({TransformKind::marginal, 1e-6, 0.0}, counts), UsageError);
  const auto standardize = fit_transform<float>({TransformKind::standardize, 1e-6, 0.1}, counts);
  EXPECT_THROW(Transformed<float>(*standardize, reals(Matrix<float>::Ones(5, 2))), DataError);
}

}  // namespace
}  // namespace relgrad
