// One suite over all kinds of layers: each by itself and several in one flow. Seeds are in the
// traces.
#include <gtest/gtest.h>

#include <Eigen/LU>
#include <algorithm>
#include <cmath>
#include <set>

#include "relgrad/gradient/backward.hpp"
#include "relgrad/gradient/buffer.hpp"
#include "relgrad/likelihood/log_likelihood.hpp"
#include "relgrad/model/model_line.hpp"
#include "support/central_differences.hpp"

namespace relgrad {
namespace {

constexpr std::uint64_t seed = 7;

struct Case {
  std::string line;
  SampleShape shape;
  bool has_plain_gradient = true;  // false: its one gradient is the relative one
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"linear", {2, 2, 3}},
      {"conv:1", {3, 2, 3}},
      {"conv:3", {2, 3, 4}},
      {"conv:5", {1, 4, 3}},
      {"conv:7", {1, 4, 4}},
      {"conv:3:circular", {2, 3, 4}},
      {"conv:5:circular", {1, 5, 6}},
      {"spectral", {2, 3, 4}, false},
      {"spectral:frequencies", {2, 3, 4}, false},
      {"spline:4:3", {2, 2, 3}},
      {"spline:4:3:channel", {2, 2, 3}},
      {"spline:4:3:ring", {2, 3, 4}},
      {"smooth-leaky-relu:0.3", {2, 2, 2}},
      {"leaky-tanh:1:0.2", {2, 2, 2}},
      {"actnorm", {3, 2, 2}},
      {"squeeze", {2, 4, 2}},
      {"coupling:5", {4, 2, 3}},
      {"split:5", {4, 2, 3}},
      {"actnorm conv:3 spline:4:3 squeeze coupling:3 split:3 linear spline:3:3:channel", {1, 4, 4}},
      {"squeeze actnorm conv:1 coupling:4 split:4 squeeze conv:3:circular split:3", {1, 4, 4}},
      {"spectral conv:3 spline:3:3 squeeze conv:1 split:4", {1, 4, 4}, false},
  };
  return all;
}

const Products& products() {
  static const Products openblas(ProductBackend::openblas);
  return openblas;
}

/// A flow whose parameters all lie away from their start.
Flow<double> make_flow(const Case& c) {
  Flow<double> flow({c.shape, Latent::logistic, parse_model_line(c.line)}, products());
  flow.initialize(Initialization::identity, 0.2, seed);
  for (ParameterId id = 0; id < flow.parameters().count(); ++id) {
    const std::span<double> values = flow.parameters().values(id);
    const auto shift =
        test::normal_matrix<double>(static_cast<Index>(values.size()), 1, seed + id, 0.1);
    for (Index i = 0; i < shift.size(); ++i) values[static_cast<std::size_t>(i)] += shift(i);
  }
  flow.prepare();
  return flow;
}

Matrix<double> samples(const Case& c, Index count) {
  return test::normal_matrix<double>(c.shape.size(), count, seed + 1, 1.5);
}

/// Summed log-likelihood of the columns of x, log|det| included.
double log_likelihood(Flow<double>& flow, const Matrix<double>& x) {
  flow.prepare();
  Workspace<double> workspace(flow, x.cols());
  workspace.load(x.data(), x.cols());
  forward(flow, workspace);
  double sum = static_cast<double>(x.cols()) * sample_independent_log_abs_det(flow);
  for (const double nats : workspace.log_likelihood()) sum += nats;
  return sum;
}

GradientBuffer<double> gradient_of(Flow<double>& flow, const Matrix<double>& x,
                                   Matrix<double>* input_delta = nullptr) {
  Workspace<double> workspace(flow, x.cols() + 2);  // as the last batch of an epoch: not full
  workspace.ask_for_input_delta();
  workspace.load(x.data(), x.cols());
  forward(flow, workspace);
  GradientBuffer<double> gradient(flow.parameters(), products());
  gradient.clear();
  FlowGradient<double>(flow, GradientKind::plain).backward(workspace, gradient);
  if (input_delta != nullptr) *input_delta = workspace.input_delta();
  return gradient;
}

TEST(EveryLayer, IsInTheSuite) {
  std::set<std::string> seen;
  for (const Case& c : cases()) {
    for (const LayerSpec& layer : parse_model_line(c.line)) seen.insert(layer.kind);
  }
  const std::vector<std::string> kinds = layer_kinds();
  EXPECT_EQ(seen, std::set<std::string>(kinds.begin(), kinds.end()));
}

TEST(EveryLayer, HasTheShapesThatItsRowInTheRegistryTells) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.line);
    const Flow<double> flow = make_flow(c);
    SampleShape shape = c.shape;
    for (std::size_t i = 0; i < flow.spec().layers.size(); ++i) {
      const auto row = std::ranges::find(layer_syntax(), flow.layer(i).kind(), &LayerSyntax::kind);
      ASSERT_NE(row, layer_syntax().end());
      EXPECT_EQ(flow.layer(i).shape().in, shape);
      shape = row->out(shape);
      EXPECT_EQ(flow.layer(i).shape().out, shape);
      EXPECT_GE(row->flops(flow.spec().layers[i], shape), 0.0);
    }
  }
}

TEST(EveryLayer, IsUndoneByItsInverse) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.line + ", seed 7");
    const Flow<double> flow = make_flow(c);
    const Matrix<double> x = samples(c, 6);
    Workspace<double> workspace(flow, 6);
    workspace.load(x.data(), 6);
    forward(flow, workspace);
    const Matrix<double> z = workspace.latents();
    Matrix<double> again(x.rows(), x.cols());

    flow.inverse(test::const_view(z), test::view(again));

    EXPECT_LE((again - x).cwiseAbs().maxCoeff(), 1e-9);
  }
}

TEST(EveryLayer, HasTheLogAbsDetOfItsJacobian) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.line + ", seed 7");
    Flow<double> flow = make_flow(c);
    Matrix<double> x = samples(c, 1);
    const auto latents = [&] {
      Workspace<double> workspace(flow, 1);
      workspace.load(x.data(), 1);
      forward(flow, workspace);
      return Vector<double>(workspace.latents().col(0));
    };
    const Index d = x.rows();
    Matrix<double> jacobian(d, d);
    for (Index j = 0; j < d; ++j) {
      for (Index i = 0; i < d; ++i) {
        jacobian(i, j) =
            test::central_difference([&] { return latents()(i); }, x(j, 0), 1e-5).value;
      }
    }
    const Vector<double> z = latents();
    double density = 0;
    add_latent_log_density(flow.latent(), ConstMatrixMap<double>(z.data(), d, 1),
                           std::span(&density, 1));

    EXPECT_NEAR(log_likelihood(flow, x), density + std::log(std::abs(jacobian.determinant())),
                1e-6);
  }
}

TEST(EveryLayer, HasTheDerivativesOfCentralDifferences) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.line + ", seed 7");
    Flow<double> flow = make_flow(c);
    Matrix<double> x = samples(c, 3);
    Matrix<double> input_delta;
    GradientBuffer<double> gradient = gradient_of(flow, x, &input_delta);
    gradient.add_per_sample_terms(3);

    const auto objective = [&] { return log_likelihood(flow, x); };
    for (Index i = 0; i < x.size(); ++i) {
      const auto numerical = test::central_difference(objective, x.data()[i], 1e-4);
      EXPECT_NEAR(input_delta.data()[i], numerical.value, 1e-6 + numerical.error) << "x " << i;
    }
    if (!c.has_plain_gradient) continue;
    ParameterStore<double>& store = flow.parameters();
    for (ParameterId id = 0; id < store.count(); ++id) {
      for (std::size_t i = 0; i < store.info(id).size(); ++i) {
        const auto numerical = test::central_difference(objective, store.values(id)[i], 1e-4);
        EXPECT_NEAR(gradient.sum(id)[i], numerical.value, 1e-6 + numerical.error)
            << store.info(id).name << "[" << i << "]";
      }
    }
  }
}

TEST(EveryLayer, AddsUpOverTheSamplesOfABatch) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.line + ", seed 7");
    Flow<double> flow = make_flow(c);
    const Matrix<double> x = samples(c, 7);
    const GradientBuffer<double> whole = gradient_of(flow, x);

    GradientBuffer<double> total = gradient_of(flow, x.leftCols(4));
    for (const auto& [begin, size] : {std::pair{4, 3}, std::pair{7, 0}}) {
      const GradientBuffer<double> part = gradient_of(flow, x.middleCols(begin, size));
      for (std::size_t i = 0; i < total.flat().size(); ++i) total.flat()[i] += part.flat()[i];
    }

    for (std::size_t i = 0; i < whole.flat().size(); ++i) {
      EXPECT_NEAR(total.flat()[i], whole.flat()[i], 1e-11 * (1.0 + std::abs(whole.flat()[i])));
    }
  }
}

TEST(EveryLayer, AgreesBetweenSingleAndDoublePrecision) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.line + ", seed 7");
    Flow<double> flow = make_flow(c);
    Flow<float> single({c.shape, Latent::logistic, parse_model_line(c.line)}, products());
    for (ParameterId id = 0; id < flow.parameters().count(); ++id) {
      std::ranges::transform(flow.parameters().values(id), single.parameters().values(id).begin(),
                             [](double value) { return static_cast<float>(value); });
    }
    single.prepare();
    const Matrix<double> x = samples(c, 4);
    const Matrix<float> x_single = x.cast<float>();
    Workspace<double> workspace(flow, 4);
    workspace.load(x.data(), 4);
    forward(flow, workspace);
    Workspace<float> workspace_single(single, 4);
    workspace_single.load(x_single.data(), 4);
    forward(single, workspace_single);

    // some hundred operations, each good to 6e-8 of numbers of order 1 to 10
    for (std::size_t n = 0; n < 4; ++n) {
      EXPECT_NEAR(workspace.log_likelihood()[n], workspace_single.log_likelihood()[n], 2e-3);
    }
  }
}

}  // namespace
}  // namespace relgrad
