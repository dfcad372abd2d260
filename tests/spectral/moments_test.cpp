#include "spectral/moments.hpp"

#include <gtest/gtest.h>

#include <Eigen/LU>

#include "relgrad/core/error.hpp"
#include "spectral/spectral_case.hpp"

namespace relgrad {
namespace {

using test::const_view;
using test::normal_matrix;
using test::SpectralCase;
using test::view;

/// Images whose numbers at every frequency are a random matrix times normal draws, plus a mean.
Matrix<double> images_of(const SpectralCase<double>& model, Index count) {
  const Matrix<double> draws = normal_matrix<double>(model.map.size(), count, /*seed=*/21);
  const Matrix<double> spectra = (model.blocks() * draws).colwise() + model.bias();
  return model.cosine.transpose() * spectra;
}

TEST(SpectralMoments, StartWhitensImagesDrawnFromSuchAModel) {
  const Index count = 400;
  const Index channels = 3;
  const SpectralCase<double> model(channels, 5, 7, SpectralOutput::frequencies);
  const Matrix<double> x = images_of(model, count);
  SpectralMoments<double> moments(channels, 5, 7);
  moments.add(ConstMatrixMap<double>(x.data(), x.rows(), 150));
  SpectralMoments<double> of_another_rank(channels, 5, 7);
  of_another_rank.add(ConstMatrixMap<double>(x.col(150).data(), x.rows(), count - 150));
  for (std::size_t i = 0; i < moments.sums().size(); ++i) {
    moments.sums()[i] += of_another_rank.sums()[i];
  }
  SpectralCase<double> start(channels, 5, 7, SpectralOutput::frequencies);

  moments.start("start", start.spans<double>(start.flat));

  Matrix<double> y(x.rows(), x.cols());
  start.map.forward(start.parameters(), const_view(x), view(y), {});
  EXPECT_LT(y.rowwise().mean().cwiseAbs().maxCoeff(), 1e-13);
  for (Index f = 0; f < start.frequencies; ++f) {
    const Matrix<double> k = start.block(f);
    EXPECT_LT((k - k.transpose()).cwiseAbs().maxCoeff(), 1e-13);
    Matrix<double> y_f(channels, count);
    for (Index c = 0; c < channels; ++c) y_f.row(c) = y.row(c * start.frequencies + f);
    const Matrix<double> covariance = y_f * y_f.transpose() / double(count);
    // S = K^{-1} cov(Y) K^{-1} is the images' own; with C images of variance tr S / C more, whose
    // share of the sum is known, K makes it the identity exactly
    const Matrix<double> inverse = k.inverse();
    const Matrix<double> s = inverse * covariance * inverse;
    const Matrix<double> fuller =
        (double(count) * s + s.trace() * Matrix<double>::Identity(channels, channels)) /
        double(count + channels);
    EXPECT_LT((k * fuller * k - Matrix<double>::Identity(channels, channels)).cwiseAbs().maxCoeff(),
              1e-12);
    // and the images' own is that but for 3 images in 403, times the condition of S (< 100)
    EXPECT_LT((covariance - Matrix<double>::Identity(channels, channels)).cwiseAbs().maxCoeff(),
              0.3);
  }
}

TEST(SpectralMoments, StaysFiniteWhereAFrequencyDoesNotVary) {
  SpectralCase<double> model(2, 4, 4, SpectralOutput::frequencies);
  for (Index k = 0; k < 4; ++k) model.flat[static_cast<std::size_t>(k * 16 + 9)] = 0.0;
  const Matrix<double> x = images_of(model, 100);
  SpectralMoments<double> moments(2, 4, 4);
  moments.add(const_view(x));
  SpectralCase<double> start(2, 4, 4, SpectralOutput::frequencies);

  moments.start("start", start.spans<double>(start.flat));

  const Matrix<double> k = start.block(9);
  EXPECT_TRUE(k.allFinite());
  // 1 / sqrt(1e-8 v) with a mean variance v between 1 and 10
  EXPECT_GT(k(0, 0), 3e3);
  EXPECT_LT(k(0, 0), 1e4);
}

TEST(SpectralMoments, RefusesImagesThatDoNotDiffer) {
  SpectralMoments<float> moments(1, 4, 4);
  SpectralCase<float> start(1, 4, 4, SpectralOutput::frequencies);
  EXPECT_THROW(moments.start("start", start.spans<float>(start.flat)), DataError);
  const Matrix<float> x = Matrix<float>::Ones(16, 3);
  moments.add(const_view(x));
  EXPECT_THROW(moments.start("start", start.spans<float>(start.flat)), DataError);
}

}  // namespace
}  // namespace relgrad
