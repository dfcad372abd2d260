// Classes with their own mean and scale of the latent density. Seeds are in the code.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "model/conditional_latent_layer.hpp"
#include "relgrad/gradient/backward.hpp"
#include "relgrad/gradient/buffer.hpp"
#include "relgrad/likelihood/log_likelihood.hpp"
#include "relgrad/model/model_line.hpp"
#include "support/central_differences.hpp"

namespace relgrad {
namespace {

constexpr Index classes = 3;
const std::vector<Label> labels{2, no_label, 0, 1, no_label};

const Products& products() {
  static const Products openblas(ProductBackend::openblas);
  return openblas;
}

class Conditional : public testing::TestWithParam<Latent> {
 protected:
  /// Means, scales and priors that differ from class to class; 12 coordinates leave before the
  /// last.
  Conditional()
      : flow_({{3, 4, 2}, GetParam(), parse_model_line("squeeze conv:1 split:3"), classes},
              products()) {
    flow_.initialize(Initialization::identity, 0.2, 7);
    for (const char* name : {"latent/mean", "latent/log_scale"}) {
      MatrixMap<double> values = parameter(name);
      values = test::normal_matrix<double>(values.rows(), values.cols(), 3, 0.5);
    }
    std::ranges::copy(std::vector{0.5, 0.2, 0.3}, flow_.prior().begin());
    flow_.prepare();
  }

  MatrixMap<double> parameter(const std::string& name) {
    return flow_.parameters().matrix(flow_.parameters().id_of(name));
  }

  std::vector<double> nats(const std::vector<Label>& of_samples) {
    flow_.prepare();
    Workspace<double> workspace(flow_, x_.cols() + 2);  // as the last batch of an epoch: not full
    workspace.load(x_.data(), x_.cols(), of_samples);
    forward(flow_, workspace);
    log_posterior_ = workspace.log_posterior();
    z_ = workspace.latents();
    return {workspace.log_likelihood().begin(), workspace.log_likelihood().end()};
  }

  Flow<double> flow_;
  Matrix<double> x_ = test::normal_matrix<double>(24, 5, 1, 1.5);
  Matrix<double> log_posterior_;
  Matrix<double> z_;
};

TEST_P(Conditional, ALabelShiftsAndScalesTheDensityOfTheCoordinatesThatLeaveLast) {
  const std::vector<double> of_class_1 = nats({1, 1, 1, 1, 1});
  const Matrix<double> z = z_.bottomRows(12);
  const Matrix<double> log_scale = parameter("latent/log_scale");
  const Matrix<double> mean = parameter("latent/mean");
  parameter("latent/mean").setZero();
  parameter("latent/log_scale").setZero();
  const std::vector<double> standard = nats({1, 1, 1, 1, 1});

  for (Index n = 0; n < 5; ++n) {
    const Vector<double> u = (z.col(n) - mean.col(1)).array() * (-log_scale.col(1)).array().exp();
    double expected = standard[static_cast<std::size_t>(n)] - log_scale.col(1).sum();
    double part = 0;
    add_latent_log_density(GetParam(), ConstMatrixMap<double>(u.data(), 12, 1),
                           std::span(&part, 1));
    expected += part;
    part = 0;
    const Vector<double> last = z.col(n);
    add_latent_log_density(GetParam(), ConstMatrixMap<double>(last.data(), 12, 1),
                           std::span(&part, 1));
    EXPECT_NEAR(of_class_1[static_cast<std::size_t>(n)], expected - part, 1e-10);
  }
}

TEST_P(Conditional, ASampleWithoutALabelHasTheSumOverClasses) {
  const std::vector<double> without = nats({});
  const Matrix<double> log_posterior = log_posterior_;
  std::vector<std::vector<double>> of_class;
  for (Label k = 0; k < classes; ++k) of_class.push_back(nats({k, k, k, k, k}));

  for (std::size_t n = 0; n < 5; ++n) {
    const double joint[] = {0.5 * std::exp(of_class[0][n]), 0.2 * std::exp(of_class[1][n]),
                            0.3 * std::exp(of_class[2][n])};
    const double sum = joint[0] + joint[1] + joint[2];
    EXPECT_NEAR(without[n], std::log(sum), 1e-10);
    for (Index k = 0; k < classes; ++k) {
      EXPECT_NEAR(std::exp(log_posterior(k, static_cast<Index>(n))), joint[k] / sum, 1e-10);
    }
  }
}

TEST_P(Conditional, DerivativesAreThoseOfCentralDifferencesWithAndWithoutLabels) {
  if (GetParam() == Latent::laplace) GTEST_SKIP() << "has a kink at 0";
  Workspace<double> workspace(flow_, x_.cols());
  workspace.ask_for_input_delta();
  workspace.load(x_.data(), x_.cols(), labels);
  forward(flow_, workspace);
  GradientBuffer<double> gradient(flow_.parameters(), products());
  gradient.clear();
  FlowGradient<double>(flow_, GradientKind::plain).backward(workspace, gradient);
  const Matrix<double> input_delta = workspace.input_delta();

  const auto objective = [&] {
    double sum = 0;
    for (const double of_sample : nats(labels)) sum += of_sample;
    return sum;
  };
  for (Index i = 0; i < x_.size(); ++i) {
    const auto numerical = test::central_difference(objective, x_.data()[i], 1e-4);
    EXPECT_NEAR(input_delta.data()[i], numerical.value, 1e-6 + numerical.error) << "x " << i;
  }
  for (const char* name : {"latent/mean", "latent/log_scale"}) {
    MatrixMap<double> values = parameter(name);
    const auto found = gradient.sum(flow_.parameters().id_of(name));
    for (Index i = 0; i < values.size(); ++i) {
      const auto numerical = test::central_difference(objective, values.data()[i], 1e-4);
      EXPECT_NEAR(found[static_cast<std::size_t>(i)], numerical.value, 1e-6 + numerical.error)
          << name << " " << i;
    }
  }
}

TEST_P(Conditional, AClassWeightAddsTheGradientOfTheLogPosteriorOfTheLabel) {
  if (GetParam() == Latent::laplace) GTEST_SKIP() << "has a kink at 0";
  constexpr double weight = 0.7;
  set_class_weight(flow_, weight);
  Workspace<double> workspace(flow_, x_.cols());
  workspace.load(x_.data(), x_.cols(), labels);
  forward(flow_, workspace);
  GradientBuffer<double> gradient(flow_.parameters(), products());
  gradient.clear();
  FlowGradient<double>(flow_, GradientKind::plain).backward(workspace, gradient);
  set_class_weight(flow_, 0.0);

  const auto objective = [&] {
    double sum = 0;
    for (const double of_sample : nats(labels)) sum += of_sample;
    nats({});
    for (std::size_t n = 0; n < labels.size(); ++n) {
      if (labels[n] == no_label) continue;
      sum += weight * log_posterior_(labels[n], static_cast<Index>(n));
    }
    return sum;
  };
  for (const char* name : {"latent/mean", "latent/log_scale", "layer/1/w"}) {
    MatrixMap<double> values = parameter(name);
    // the part that every sample has alike (log|det w|) is added apart
    if (std::string(name) == "layer/1/w") gradient.add_per_sample_terms(5);
    const auto found = gradient.sum(flow_.parameters().id_of(name));
    for (Index i = 0; i < values.size(); ++i) {
      const auto numerical = test::central_difference(
          [&] { return objective() + 5 * sample_independent_log_abs_det(flow_); }, values.data()[i],
          1e-4);
      EXPECT_NEAR(found[static_cast<std::size_t>(i)], numerical.value, 1e-6 + numerical.error)
          << name << " " << i;
    }
  }
}

TEST_P(Conditional, ADrawIsShiftedAndScaledToItsClass) {
  Vector<double> z = test::normal_matrix<double>(24, 1, 9);
  const Vector<double> before = z;

  flow_.move_to_class(2, std::span(z.data(), 24));

  EXPECT_EQ(z.head(12), before.head(12));
  const Matrix<double> mean = parameter("latent/mean");
  const Matrix<double> log_scale = parameter("latent/log_scale");
  const Vector<double> back =
      (z.tail(12) - mean.col(2)).array() * (-log_scale.col(2)).array().exp();
  EXPECT_LE((back - before.tail(12)).cwiseAbs().maxCoeff(), 1e-12);
}

INSTANTIATE_TEST_SUITE_P(Latents, Conditional,
                         testing::Values(Latent::normal, Latent::logistic,
                                         Latent::hyperbolic_secant, Latent::laplace),
                         [](const auto& of_test) {
                           std::string name(name_of(of_test.param));
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace relgrad
