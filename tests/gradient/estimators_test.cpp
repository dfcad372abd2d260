// The gradient estimators against each other and against central differences (MATH sections 2 and
// 6).
#include <gtest/gtest.h>

#include "gradient/gradient_sum.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/gradient/backward.hpp"
#include "relgrad/gradient/buffer.hpp"
#include "relgrad/likelihood/log_likelihood.hpp"
#include "support/central_differences.hpp"

namespace relgrad {
namespace {

constexpr std::uint64_t seed = 7;

struct Case {
  std::string name;
  LayerSpec activation;
  LayerSpec last;
  Latent latent;
};

const std::vector<Case>& cases() {
  static const LayerSpec none{"none", {}};
  static const LayerSpec relu{"smooth-leaky-relu", {{"slope", 0.3}}};
  static const LayerSpec tanh{"leaky-tanh", {{"scale", 1.0}, {"slope", 0.1}}};
  static const LayerSpec spline{"spline", {{"bins", 4}, {"bound", 3}}};
  static const std::vector<Case> all = {
      {"linear only", none, none, Latent::normal},
      {"smooth leaky ReLU", relu, none, Latent::logistic},
      {"leaky tanh", tanh, none, Latent::hyperbolic_secant},
      {"spline, also last", spline, spline, Latent::normal},
  };
  return all;
}

/// Three linear layers with every parameter away from its start.
Flow<double> make_flow(const Case& c, Index dimension) {
  Flow<double> flow(make_flow_spec(dimension, 3, c.activation, c.last, c.latent),
                    Products(ProductBackend::openblas));
  flow.initialize(Initialization::identity, 0.5, seed);
  ParameterStore<double>& store = flow.parameters();
  for (ParameterId id = 0; id < store.count(); ++id) {
    if (store.info(id).use.by_columns) continue;
    const Matrix<double> shift =
        test::normal_matrix<double>(static_cast<Index>(store.info(id).size()), 1, seed + id, 0.3);
    std::copy_n(shift.data(), shift.size(), store.values(id).data());
  }
  flow.prepare();
  return flow;
}

/// Summed log-likelihood of the columns of x, log|det| included.
double log_likelihood(Flow<double>& flow, const Matrix<double>& x) {
  flow.prepare();
  Workspace<double> workspace(flow, x.cols());
  workspace.input() = x;
  std::ranges::fill(workspace.log_likelihood(), sample_independent_log_abs_det(flow));
  forward(flow, workspace);
  double sum = 0;
  for (const double nats : workspace.log_likelihood()) sum += nats;
  return sum;
}

using test::gradient_sum;

TEST(PlainGradient, AgreesWithCentralDifferencesForEveryLayerKind) {
  for (const Case& c : cases()) {
    for (const Index samples : {1, 5}) {
      SCOPED_TRACE(c.name + ", seed 7");
      Flow<double> flow = make_flow(c, 3);
      const Matrix<double> x = test::normal_matrix<double>(3, samples, seed + 1);

      GradientBuffer<double> gradient = gradient_sum(flow, x, GradientKind::plain);
      gradient.add_per_sample_terms(static_cast<double>(samples));

      ParameterStore<double>& store = flow.parameters();
      for (ParameterId id = 0; id < store.count(); ++id) {
        for (std::size_t i = 0; i < store.info(id).size(); ++i) {
          const auto numerical = test::central_difference([&] { return log_likelihood(flow, x); },
                                                          store.values(id)[i]);
          EXPECT_NEAR(gradient.sum(id)[i], numerical.value, 1e-8 + numerical.error)
              << store.info(id).name << "[" << i << "]";
        }
      }
    }
  }
}

/// The plain gradient of [W b] times M^T M, M = [[W, b], [0, 1]], without its last row.
Matrix<double> times_gram(const Matrix<double>& g, const ConstMatrixMap<double>& w,
                          const ConstVectorMap<double>& b) {
  const Index d = w.rows();
  Matrix<double> m = Matrix<double>::Zero(d + 1, d + 1);
  m.topLeftCorner(d, d) = w;
  m.topRightCorner(d, 1) = b;
  m(d, d) = 1.0;
  return g * (m.transpose() * m);
}

TEST(RelativeGradient, IsThePlainGradientTimesMTransposeMForEveryLayerKind) {
  for (const Case& c : cases()) {
    for (const Index dimension : {1, 6}) {
      SCOPED_TRACE(c.name + ", seed 7");
      Flow<double> flow = make_flow(c, dimension);
      const Matrix<double> x = test::normal_matrix<double>(dimension, 9, seed + 1);

      GradientBuffer<double> relative = gradient_sum(flow, x, GradientKind::relative);
      relative.add_per_sample_terms(9.0);

      GradientBuffer<double> plain = gradient_sum(flow, x, GradientKind::plain);
      plain.add_per_sample_terms(9.0);
      for (std::size_t i = 0; i < flow.layer_count(); ++i) {
        const auto* linear = dynamic_cast<const LinearLayer<double>*>(&flow.layer(i));
        if (linear == nullptr) continue;
        Matrix<double> augmented(dimension, dimension + 1);
        augmented << plain.matrix(linear->weight_id()), plain.matrix(linear->bias_id());
        const Matrix<double> expected = times_gram(augmented, linear->weight(), linear->bias());
        Matrix<double> actual(dimension, dimension + 1);
        actual << relative.matrix(linear->weight_id()), relative.matrix(linear->bias_id());
        EXPECT_LE((actual - expected).norm(), 1e-10 * expected.norm()) << "layer " << i;
      }
    }
  }
}

TEST(GradientSums, OfFourRanksAddUpToTheWholeBatch) {
  const Case& c = cases()[3];
  Flow<double> flow = make_flow(c, 5);
  const Matrix<double> x = test::normal_matrix<double>(5, 10, seed + 2);
  GradientBuffer<double> whole = gradient_sum(flow, x, GradientKind::relative);
  whole.add_per_sample_terms(10.0);

  // Parts of 3, 3, 4 and 0 samples: sums travel, what belongs to every sample is added once.
  GradientBuffer<double> total = gradient_sum(flow, x.leftCols(3), GradientKind::relative);
  for (const auto& [begin, size] : {std::pair{3, 3}, std::pair{6, 4}, std::pair{10, 0}}) {
    const GradientBuffer<double> part =
        gradient_sum(flow, x.middleCols(begin, size), GradientKind::relative);
    for (std::size_t i = 0; i < total.flat().size(); ++i) total.flat()[i] += part.flat()[i];
  }
  total.add_per_sample_terms(10.0);

  for (std::size_t i = 0; i < whole.flat().size(); ++i) {
    EXPECT_NEAR(total.flat()[i], whole.flat()[i], 1e-12 * (1.0 + std::abs(whole.flat()[i])));
  }
}

TEST(GradientNames, AreChecked) {
  EXPECT_EQ(parse_gradient_kind("plain"), GradientKind::plain);
  EXPECT_THROW(parse_gradient_kind("relativ"), UsageError);
}

}  // namespace
}  // namespace relgrad
