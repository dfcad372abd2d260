#include "coupling/actnorm.hpp"

#include <gtest/gtest.h>

#include "relgrad/core/error.hpp"
#include "support/central_differences.hpp"

namespace relgrad {
namespace {

using test::const_view;
using test::normal_matrix;
using test::view;

TEST(Actnorm, InverseUndoesForwardAndLogAbsDetIsTheSumOfLogScales) {
  const Actnorm<double> actnorm(3, 4);
  const std::vector<double> log_scale{0.3, -1.0, 0.5};
  const std::vector<double> shift{1.0, -2.0, 0.0};
  const Matrix<double> x = normal_matrix<double>(12, 5, /*seed=*/1);
  Matrix<double> y = x;
  actnorm.forward(log_scale, shift, const_view(y), view(y));
  EXPECT_NEAR(y(5, 2), std::exp(-1.0) * (x(5, 2) + 2.0), 1e-15);
  actnorm.inverse(log_scale, shift, const_view(y), view(y));
  EXPECT_LT((y - x).cwiseAbs().maxCoeff(), 1e-14);
  EXPECT_NEAR(actnorm.log_abs_det(log_scale), 4.0 * -0.2, 1e-15);
}

TEST(Actnorm, BackwardAgreesWithCentralDifferences) {
  const Actnorm<double> actnorm(3, 4);
  std::vector<double> log_scale{0.3, -1.0, 0.5};
  std::vector<double> shift{1.0, -2.0, 0.0};
  Matrix<double> x = normal_matrix<double>(12, 5, /*seed=*/1);
  const Matrix<double> c = normal_matrix<double>(12, 5, /*seed=*/2);
  Matrix<double> y(12, 5);
  const auto objective = [&] {
    actnorm.forward(log_scale, shift, const_view(x), view(y));
    return y.cwiseProduct(c).sum() + 5.0 * actnorm.log_abs_det(log_scale);
  };
  objective();
  Matrix<double> delta = c;
  std::vector<double> by_log_scale(3, 1.0);  // it adds
  std::vector<double> by_shift(3, 2.0);

  actnorm.backward(log_scale, const_view(y), const_view(delta), view(delta), by_log_scale,
                   by_shift);

  for (std::size_t i = 0; i < 3; ++i) {
    const auto scale = test::central_difference(objective, log_scale[i]);
    EXPECT_NEAR(by_log_scale[i] - 1.0 + 5.0 * 4.0, scale.value, scale.error);
    const auto offset = test::central_difference(objective, shift[i]);
    EXPECT_NEAR(by_shift[i] - 2.0, offset.value, offset.error);
  }
  for (Index i = 0; i < x.size(); ++i) {
    const auto expected = test::central_difference(objective, x.data()[i]);
    EXPECT_NEAR(delta.data()[i], expected.value, expected.error);
  }
}

TEST(Actnorm, ExactSumsAreTheSameHoweverSamplesAreSplit) {
  const Actnorm<float> actnorm(2, 9);
  const std::vector<float> log_scale{0.3F, -1.0F};
  const Matrix<float> y = normal_matrix<float>(18, 8, /*seed=*/1);
  const Matrix<float> delta = normal_matrix<float>(18, 8, /*seed=*/2);
  const ExactGrid grid(14, 8);
  const auto sums_of = [&](std::vector<Index> ends) {
    std::vector<double> sums(4);
    Index begin = 0;
    for (const Index end : ends) {
      Matrix<float> delta_x(18, end - begin);
      actnorm.backward_exact(log_scale, {y.col(begin).data(), 18, end - begin},
                             {delta.col(begin).data(), 18, end - begin}, view(delta_x), grid,
                             std::span(sums).first(2), std::span(sums).last(2));
      begin = end;
    }
    return sums;
  };
  EXPECT_EQ(sums_of({3, 4, 8}), sums_of({8}));
  std::vector<float> scale(2);
  std::vector<float> shift(2);
  Matrix<float> delta_x(18, 8);
  actnorm.backward(log_scale, const_view(y), const_view(delta), view(delta_x), scale, shift);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_NEAR(sums_of({8})[i], scale[i], 1e-4);
    EXPECT_NEAR(sums_of({8})[2 + i], shift[i], 1e-4);
  }
}

TEST(ChannelMoments, StartActnormWithMeanZeroAndVarianceOneWhateverTheSplit) {
  Matrix<double> x = normal_matrix<double>(12, 50, /*seed=*/1, /*scale=*/3.0);
  x.topRows(4).array() += 7.0;
  ChannelMoments all(3, 4, 50);
  all.add(const_view(x));
  ChannelMoments part(3, 4, 50);
  ChannelMoments rest(3, 4, 50);
  part.add(ConstMatrixMap<double>(x.data(), 12, 17));
  rest.add(ConstMatrixMap<double>(x.col(17).data(), 12, 33));
  for (std::size_t i = 0; i < part.sums().size(); ++i) part.sums()[i] += rest.sums()[i];
  EXPECT_TRUE(std::ranges::equal(part.sums(), all.sums()));

  std::vector<double> log_scale(3);
  std::vector<double> shift(3);
  std::vector<double> mean(3);
  std::vector<double> variance(3);
  all.mean_and_variance(mean, variance);
  Actnorm<double>(3, 4).start_from(mean, variance, log_scale, shift);
  Matrix<double> y(12, 50);
  Actnorm<double>(3, 4).forward(log_scale, shift, const_view(x), view(y));

  for (Index c = 0; c < 3; ++c) {
    const auto channel = y.middleRows(4 * c, 4).array();
    // 50 sums of 4 numbers each, rounded to multiples of 2^{30 + 6 - 51}: 4e-6 per number at most
    EXPECT_NEAR(channel.mean(), 0.0, 4e-6);
    EXPECT_NEAR((channel * channel).mean(), 1.0, 1e-5);
  }
  EXPECT_THROW(ChannelMoments(3, 4, 50).mean_and_variance(mean, variance), ShapeError);
}

}  // namespace
}  // namespace relgrad
