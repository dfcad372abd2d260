// The self-normalizing estimator is no gradient as a whole; each of its pieces is one, of what it
// is checked against here (src/gradient/self_normalizing.cpp, MATH section 2).
#include <gtest/gtest.h>

#include <Eigen/LU>

#include "gradient/gradient_sum.hpp"
#include "relgrad/gradient/backward.hpp"
#include "relgrad/gradient/buffer.hpp"
#include "relgrad/likelihood/log_likelihood.hpp"
#include "support/central_differences.hpp"

namespace relgrad {
namespace {

constexpr std::uint64_t seed = 7;
constexpr Index dimension = 3;
constexpr Index samples = 5;

/// Two linear layers with biases; R is W^{-1} plus `noise` times normal numbers.
Flow<double> make_flow(double noise) {
  Flow<double> flow(make_flow_spec(dimension, 2, {"smooth-leaky-relu", {{"slope", 0.3}}},
                                   {"none", {}}, Latent::logistic, /*keeps_inverse=*/true),
                    Products(ProductBackend::openblas));
  flow.initialize(Initialization::identity, 0.5, seed);
  ParameterStore<double>& store = flow.parameters();
  for (ParameterId id = 0; id < store.count(); ++id) {
    const std::string& name = store.info(id).name;
    const double scale = name.ends_with("/b") ? 0.3 : name.ends_with("/R-transposed") ? noise : 0.0;
    const Matrix<double> shift =
        test::normal_matrix<double>(static_cast<Index>(store.info(id).size()), 1, seed + id, scale);
    for (Index i = 0; i < shift.size(); ++i)
      store.values(id)[static_cast<std::size_t>(i)] += shift(i);
  }
  return flow;
}

const LinearLayer<double>& linear(const Flow<double>& flow, std::size_t i) {
  return dynamic_cast<const LinearLayer<double>&>(flow.layer(i));
}
constexpr std::array<std::size_t, 2> linear_layers = {0, 2};

GradientOptions self_normalizing(double weight, bool symmetric = false) {
  GradientOptions options(GradientKind::self_normalizing);
  options.reconstruction_weight = weight;
  options.symmetric = symmetric;
  return options;
}

using test::gradient_sum;

/// The input of layer i.
Matrix<double> input_of(const Flow<double>& flow, const Matrix<double>& x, std::size_t i) {
  Workspace<double> workspace(flow, x.cols());
  workspace.input() = x;
  std::ranges::fill(workspace.log_likelihood(), 0.0);
  forward(flow, workspace);
  return workspace.input_of(i);
}

TEST(SelfNormalizing, ReconstructionTermsAgreeWithCentralDifferences) {
  for (const bool symmetric : {false, true}) {
    Flow<double> flow = make_flow(/*noise=*/0.2);
    const Matrix<double> x = test::normal_matrix<double>(dimension, samples, seed + 1);
    GradientBuffer<double> with = gradient_sum(flow, x, self_normalizing(0.7, symmetric));
    GradientBuffer<double> without = gradient_sum(flow, x, self_normalizing(0.0, symmetric));
    for (const std::size_t i : linear_layers) {
      const LinearLayer<double>& layer = linear(flow, i);
      const Matrix<double> held_x = input_of(flow, x, i);
      const Matrix<double> held_z = layer.weight() * held_x;
      // -lambda ||R W x - x||^2, or half of it with half of ||W R z - z||^2
      const auto objective = [&] {
        const Matrix<double> w = layer.weight();
        const Matrix<double> r = layer.inverse_transposed().transpose();
        const double of_x = (r * w * held_x - held_x).squaredNorm();
        if (!symmetric) return -0.7 * of_x;
        // W x is what R maps back and Z what W R x is compared with: only the latter is constant.
        return -0.35 * (of_x + (w * r * held_z - held_z).squaredNorm());
      };
      for (const ParameterId id : {layer.weight_id(), layer.inverse_id()}) {
        for (std::size_t k = 0; k < 9; ++k) {
          const auto numerical =
              test::central_difference(objective, flow.parameters().values(id)[k]);
          EXPECT_NEAR(with.sum(id)[k] - without.sum(id)[k], numerical.value, 1e-9 + numerical.error)
              << flow.parameters().info(id).name << "[" << k << "], symmetric " << symmetric;
        }
      }
    }
  }
}

/// Summed log-likelihood of x + V z without log|det|, V = 0 but for what is under difference.
double shifted_log_likelihood(const Flow<double>& flow, const Matrix<double>& x,
                              const Matrix<double>& v, const Matrix<double>& z) {
  Workspace<double> workspace(flow, x.cols());
  workspace.input() = x + v * z;
  std::ranges::fill(workspace.log_likelihood(), 0.0);
  forward(flow, workspace);
  double sum = 0;
  for (const double nats : workspace.log_likelihood()) sum += nats;
  return sum;
}

TEST(SelfNormalizing, DataTermsAreHalfOfWhatMovesEachMap) {
  Flow<double> flow = make_flow(/*noise=*/0.2);
  const Matrix<double> x = test::normal_matrix<double>(dimension, samples, seed + 1);

  GradientBuffer<double> sums = gradient_sum(flow, x, self_normalizing(0.0));

  // Of W: half of the plain data term. Of biases: all of it.
  GradientBuffer<double> plain = gradient_sum(flow, x, GradientKind::plain);
  for (const std::size_t i : linear_layers) {
    const LinearLayer<double>& layer = linear(flow, i);
    EXPECT_LE((2.0 * sums.matrix(layer.weight_id()) - plain.matrix(layer.weight_id())).norm(),
              1e-13 * plain.matrix(layer.weight_id()).norm());
    EXPECT_LE((sums.matrix(layer.bias_id()) - plain.matrix(layer.bias_id())).norm(),
              1e-13 * plain.matrix(layer.bias_id()).norm());
  }
  // Of R, first layer: -1/2 d/dV of the log-likelihood of x + V z at V = 0, z = W x without bias.
  const LinearLayer<double>& first = linear(flow, 0);
  const Matrix<double> z = first.weight() * x;
  Matrix<double> v = Matrix<double>::Zero(dimension, dimension);
  for (Index k = 0; k < v.size(); ++k) {
    const auto numerical = test::central_difference(
        [&] { return shifted_log_likelihood(flow, x, v, z); }, v.data()[k]);
    const Index row = k % dimension;
    const Index col = k / dimension;
    EXPECT_NEAR(sums.matrix(first.inverse_id())(col, row), -0.5 * numerical.value,
                1e-8 + numerical.error);
  }
}

TEST(SelfNormalizing, AtTheExactInverseIsHalfThePlainGradientAndHalfThatOfLogDetR) {
  Flow<double> flow = make_flow(/*noise=*/0.0);
  const Matrix<double> x = test::normal_matrix<double>(dimension, samples, seed + 1);

  for (const bool symmetric : {false, true}) {
    GradientBuffer<double> gradient = gradient_sum(flow, x, self_normalizing(1.0, symmetric));
    const GradientBuffer<double> data = gradient;
    gradient.add_per_sample_terms(samples);

    GradientBuffer<double> plain = gradient_sum(flow, x, GradientKind::plain);
    plain.add_per_sample_terms(samples);
    for (const std::size_t i : linear_layers) {
      const LinearLayer<double>& layer = linear(flow, i);
      const Matrix<double> expected = 0.5 * plain.matrix(layer.weight_id());
      EXPECT_LE((gradient.matrix(layer.weight_id()) - expected).norm(), 1e-12 * expected.norm());
      // d/dR of -1/2 log|det R|, B times, as R^T holds it: -B/2 R^{-1}
      const Matrix<double> of_r =
          -0.5 * samples * Matrix<double>(layer.inverse_transposed().transpose()).inverse();
      EXPECT_LE(
          (gradient.matrix(layer.inverse_id()) - data.matrix(layer.inverse_id()) - of_r).norm(),
          1e-12 * of_r.norm());
    }
  }
}

TEST(SelfNormalizing, SumsOfPartsAreThoseOfTheBatch) {
  Flow<double> flow = make_flow(/*noise=*/0.2);
  const Matrix<double> x = test::normal_matrix<double>(dimension, 10, seed + 2);
  const GradientOptions options = self_normalizing(0.5, /*symmetric=*/true);
  const GradientBuffer<double> whole = gradient_sum(flow, x, options);

  GradientBuffer<double> total = gradient_sum(flow, x.leftCols(3), options);
  for (const auto& [begin, size] : {std::pair{3, 7}, std::pair{10, 0}}) {
    const GradientBuffer<double> part = gradient_sum(flow, x.middleCols(begin, size), options);
    for (std::size_t i = 0; i < total.flat().size(); ++i) total.flat()[i] += part.flat()[i];
  }

  for (std::size_t i = 0; i < whole.flat().size(); ++i) {
    EXPECT_NEAR(total.flat()[i], whole.flat()[i], 1e-12 * (1.0 + std::abs(whole.flat()[i])));
  }
}

TEST(SelfNormalizing, TellsTheReconstructionErrorOfTheBatch) {
  Flow<double> flow = make_flow(/*noise=*/0.2);
  const Matrix<double> x = test::normal_matrix<double>(dimension, samples, seed + 1);

  GradientBuffer<double> gradient = gradient_sum(flow, x, self_normalizing(1.0));

  const LinearLayer<double>& first = linear(flow, 0);
  const Matrix<double> error =
      first.inverse_transposed().transpose() * Matrix<double>(first.weight() * x) - x;
  EXPECT_NEAR(gradient.sum(first.reconstruction_id())[0], error.squaredNorm(), 1e-12);
}

TEST(LearnedInverse, UndoesTheFlowWhereItIsExact) {
  Flow<double> flow = make_flow(/*noise=*/0.0);
  const Matrix<double> x = test::normal_matrix<double>(dimension, samples, seed + 1);
  Workspace<double> workspace(flow, samples);
  workspace.input() = x;
  forward(flow, workspace);
  Matrix<double> z = workspace.latents();
  Matrix<double> back(dimension, samples);

  flow.inverse(test::const_view(z), test::view(back), InverseKind::learned);

  EXPECT_LT((back - x).norm(), 1e-10);
}

TEST(PlainGradient, KeepsItsInverseForAsManyStepsAsItIsTold) {
  Flow<double> flow = make_flow(/*noise=*/0.0);
  const Matrix<double> x = test::normal_matrix<double>(dimension, samples, seed + 1);
  GradientOptions options(GradientKind::plain);
  options.inverse_every = 2;
  FlowGradient<double> every_second(flow, options);
  const LinearLayer<double>& first = linear(flow, 0);
  for (const std::int64_t step : {0, 1, 2}) {
    flow.parameters().values(first.weight_id())[1] += 0.1;
    const Matrix<double> kept_before = first.inverse_transposed();

    every_second.begin({step, samples, 0, 0});

    const Matrix<double> inverse = Matrix<double>(first.weight()).inverse().transpose();
    const bool is_fresh = (first.inverse_transposed() - inverse).norm() < 1e-12;
    EXPECT_EQ(is_fresh, step != 1);
    EXPECT_EQ(first.inverse_transposed() == kept_before, step == 1);
    GradientBuffer<double> kept = gradient_sum(flow, x, options);
    GradientBuffer<double> plain = gradient_sum(flow, x, GradientKind::plain);
    kept.add_per_sample_terms(samples);
    plain.add_per_sample_terms(samples);
    const double difference =
        (kept.matrix(first.weight_id()) - plain.matrix(first.weight_id())).norm();
    EXPECT_EQ(difference < 1e-11, step != 1);
  }
}

}  // namespace
}  // namespace relgrad
