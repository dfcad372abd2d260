#include "relgrad/likelihood/log_likelihood.hpp"

#include <gtest/gtest.h>

#include <Eigen/LU>
#include <numbers>

#include "relgrad/core/error.hpp"
#include "support/central_differences.hpp"

namespace relgrad {
namespace {

const Products& products() {
  static const Products openblas(ProductBackend::openblas);
  return openblas;
}

/// Log-likelihood of one sample, log|det| included.
double log_likelihood(const Flow<double>& flow, const Vector<double>& x) {
  Workspace<double> workspace(flow, 1);
  workspace.input() = x;
  std::ranges::fill(workspace.log_likelihood(), sample_independent_log_abs_det(flow));
  forward(flow, workspace);
  return workspace.log_likelihood()[0];
}

TEST(LogLikelihood, OfOneLinearLayerIsTheGaussianWithItsCovariance) {
  Flow<double> flow(make_flow_spec(3, 1, {"none", {}}, {"none", {}}, Latent::normal), products());
  flow.initialize(Initialization::identity, 0.7, 3);
  const Matrix<double> w = std::as_const(flow.parameters()).matrix(0);
  const Vector<double> x = test::normal_matrix<double>(3, 1, 4);

  // x ~ N(0, (W^T W)^{-1}): log p = -x^T W^T W x / 2 - 3/2 log(2 pi) + log|det W|
  const double expected = -0.5 * (w * x).squaredNorm() - 1.5 * std::log(2.0 * std::numbers::pi) +
                          std::log(std::abs(w.determinant()));
  EXPECT_NEAR(log_likelihood(flow, x), expected, 1e-12);
}

TEST(LogLikelihood, CountsTheLogDetOfTheWholeJacobian) {
  Flow<double> flow(make_flow_spec(4, 2, {"smooth-leaky-relu", {{"slope", 0.3}}},
                                   {"spline", {{"bins", 5}, {"bound", 3}}}, Latent::logistic),
                    products());
  flow.initialize(Initialization::orthogonal, 0.0, 3);
  const Matrix<double> bend = test::normal_matrix<double>(4 * 5, 1, 9);
  std::copy_n(bend.data(), bend.size(),
              flow.parameters().values(flow.parameters().id_of("layer/3/heights")).data());
  flow.prepare();
  Vector<double> x = test::normal_matrix<double>(4, 1, 4);

  const auto z_of = [&](Index row) {
    Workspace<double> workspace(flow, 1);
    workspace.input() = x;
    forward(flow, workspace);
    return workspace.latents()(row, 0);
  };
  Matrix<double> jacobian(4, 4);
  for (Index i = 0; i < 4; ++i) {
    for (Index j = 0; j < 4; ++j) {
      jacobian(i, j) = test::central_difference([&] { return z_of(i); }, x(j)).value;
    }
  }
  double latent = 0;
  Matrix<double> z(4, 1);
  for (Index i = 0; i < 4; ++i) z(i, 0) = z_of(i);
  add_latent_log_density(Latent::logistic, test::const_view(z), std::span(&latent, 1));
  EXPECT_NEAR(log_likelihood(flow, x), latent + std::log(std::abs(jacobian.determinant())), 1e-7);
}

TEST(SampleIndependentLogAbsDet, SharedOverWorkersAddsUpToTheWhole) {
  Flow<double> flow(
      make_flow_spec(5, 3, {"smooth-leaky-relu", {{"slope", 0.3}}}, {"none", {}}, Latent::normal),
      products());
  flow.initialize(Initialization::identity, 0.9, 11);
  double shared = 0;
  int workers_with_work = 0;
  for (std::size_t worker = 0; worker < 3; ++worker) {
    const std::vector<double> parts = log_abs_det_by_layer(flow, worker, 3);
    const double part = std::accumulate(parts.begin(), parts.end(), 0.0);
    shared += part;
    workers_with_work += part != 0.0 ? 1 : 0;
  }
  EXPECT_NEAR(shared, sample_independent_log_abs_det(flow), 1e-12);
  EXPECT_EQ(workers_with_work, 3);
}

TEST(BitsPerDim, OfEightBitsOfUniformNoiseIsEight) {
  // A uniform density over 256 levels in D dimensions: log p = -D log 256.
  EXPECT_NEAR(bits_per_dim(-784.0 * std::log(256.0), 784), 8.0, 1e-12);
  // Gresele et al.: -1375.2 logit-space nats are -1102.5 pixel nats on MNIST, 2.03 bits/dim.
  EXPECT_NEAR(bits_per_dim(-1102.5, 784), 2.03, 0.005);
}

}  // namespace
}  // namespace relgrad
