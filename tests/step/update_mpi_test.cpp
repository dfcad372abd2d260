// Every rank runs every test; run with 1, 2 and 4 ranks.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <Eigen/LU>
#include <cmath>

#include "step/update_runs.hpp"

namespace relgrad {
namespace {

using test::dimension;
using test::distance;
using test::End;
using test::self_normalizing;
using test::Setting;
using test::start;
using test::train;
using test::train_tracked;
using test::whole_values;

constexpr double huge = 1e300;

std::vector<double> start_values() { return whole_values(start({})); }

TEST(Update, ClippingThatNeverBitesIsTheFusedUpdate) {
  for (const OptimizerKind kind :
       {OptimizerKind::sgd, OptimizerKind::momentum, OptimizerKind::adam}) {
    Setting setting;
    setting.optimizer.kind = kind;
    setting.optimizer.weight_decay = 0.1;
    const std::vector<double> fused = train(setting, 3);
    setting.clip_norm = huge;

    const std::vector<double> clipped = train(setting, 3);

    EXPECT_GT(distance(fused, start_values()), 1e-3) << name_of(kind);
    EXPECT_LT(distance(fused, clipped), 1e-12) << name_of(kind);
  }
}

TEST(Update, ClippingBoundsTheStepOfSgdAndKeepsItsDirection) {
  Setting setting;
  setting.optimizer.kind = OptimizerKind::sgd;
  const std::vector<double> begin = start_values();
  const std::vector<double> free_end = train(setting, 1);
  const double free_length = distance(free_end, begin);
  const double norm = free_length / setting.lr;  // of the mean gradient

  setting.clip_norm = 0.25 * norm;
  const std::vector<double> clipped_end = train(setting, 1);

  EXPECT_NEAR(distance(clipped_end, begin), setting.lr * setting.clip_norm, 1e-12 * norm);
  for (std::size_t i = 0; i < begin.size(); ++i) {
    EXPECT_NEAR(clipped_end[i] - begin[i], 0.25 * (free_end[i] - begin[i]), 1e-12 * norm) << i;
  }
}

TEST(Update, ByAnExchangeThatChangesBetweenStepsIsTheSame) {
  for (const OptimizerKind kind : {OptimizerKind::momentum, OptimizerKind::adam}) {
    for (const GradientOptions& gradient :
         {GradientOptions(), self_normalizing(false), self_normalizing(true)}) {
      Setting setting;
      setting.optimizer.kind = kind;
      setting.gradient = gradient;
      setting.samples = 7;
      setting.splits_evenly = true;
      const std::vector<double> dense = train(setting, 7);
      setting.changes = {"sharded", "factor", "gathered", "sharded", "dense", "factor"};

      const std::vector<double> changing = train(setting, 7);

      EXPECT_GT(distance(dense, whole_values(start(gradient))), 1e-3) << name_of(kind);
      EXPECT_LT(distance(dense, changing), 1e-10) << name_of(kind);
    }
  }
}

TEST(Update, InOnePassOverEveryWeightHasTheBitsOfSeparateProducts) {
  for (const OptimizerKind kind :
       {OptimizerKind::sgd, OptimizerKind::momentum, OptimizerKind::adam, OptimizerKind::natural}) {
    for (const char* exchange : {"dense", "sharded", "factor"}) {
      Setting setting;
      setting.optimizer.kind = kind;
      setting.optimizer.weight_decay = 0.1;
      setting.exchange = exchange;
      setting.tracks = kind == OptimizerKind::sgd || kind == OptimizerKind::natural;
      if (setting.tracks) setting.exchange = "factor";
      setting.products = ProductBackend::ordered;
      const End separate = train_tracked(setting, 3);
      setting.in_one_pass = true;

      const End in_one_pass = train_tracked(setting, 3);

      EXPECT_GT(distance(separate.values, start_values()), 1e-3) << name_of(kind);
      EXPECT_EQ(in_one_pass.values, separate.values) << name_of(kind) << " " << exchange;
      if (setting.tracks) {
        EXPECT_NEAR(in_one_pass.tracked, in_one_pass.log_abs_det, 1e-9) << name_of(kind);
      }
    }
  }
}

TEST(Update, InOnePassOverEveryWeightIsTheSameWhereRanksShareItByColumns) {
  const int ranks = mpi::Communicator::world().world_size();
  if (ranks == 1) GTEST_SKIP() << "one rank shares nothing";
  for (const OptimizerKind kind : {OptimizerKind::adam, OptimizerKind::natural}) {
    Setting setting;
    setting.optimizer.kind = kind;
    setting.samples = kind == OptimizerKind::natural ? 10 : 1;
    const std::vector<double> dense = train(setting, 3);
    setting.products = ProductBackend::ordered;
    setting.in_one_pass = true;
    setting.row_groups = ranks;

    EXPECT_LT(distance(train(setting, 3), dense), 1e-12) << name_of(kind);
  }
}

TEST(Update, EveryExchangeEndsWithTheSameParametersOnEveryRank) {
  const auto comm = mpi::Communicator::world();
  for (const OptimizerKind kind : {OptimizerKind::adam, OptimizerKind::natural}) {
    Setting setting;
    setting.optimizer.kind = kind;
    setting.samples = 10;  // natural steps divide by mean squares over them
    const std::vector<double> dense = train(setting, 3);
    for (const char* name : {"sharded", "factor"}) {
      setting.exchange = name;

      const std::vector<double> values = train(setting, 3);

      EXPECT_LT(distance(values, dense), 1e-12) << name;
      std::vector<double> most = values;
      comm.allreduce_max(most);
      EXPECT_EQ(values, most) << name;
    }
  }
}

TEST(Update, RanksThatShareEveryWeightByColumnsEndWithTheSameParameters) {
  const int ranks = mpi::Communicator::world().world_size();
  if (ranks == 1) GTEST_SKIP() << "one rank shares nothing";
  for (const double clip_norm : {0.0, 0.1}) {
    Setting setting;
    setting.optimizer.weight_decay = 0.1;
    setting.clip_norm = clip_norm;
    const std::vector<double> dense = train(setting, 3);
    for (int row_groups = 2; row_groups <= ranks; ++row_groups) {
      if (ranks % row_groups != 0) continue;
      for (const char* inner : {"dense", "sharded", "factor"}) {
        if (clip_norm > 0 && inner != std::string("dense")) continue;
        setting.row_groups = row_groups;
        setting.exchange = inner;

        EXPECT_LT(distance(train(setting, 3), dense), 1e-12) << row_groups << " " << inner;
      }
    }
  }
}

/// Self-normalizing, with what adapts at work: plain sums of all kinds of parameters.
Setting of_learned_inverses(bool symmetric) {
  Setting setting;
  setting.gradient = self_normalizing(symmetric);
  setting.optimizer.weight_decay = 0.1;
  setting.gradient.reconstruction_tolerance = 1e-3;
  return setting;
}

TEST(Update, WeightsAndLearnedInversesMoveFromTheSameState) {
  // Clipping forms all gradients before anything moves; fused, W moves first.
  for (const bool symmetric : {false, true}) {
    for (const char* exchange : {"dense", "sharded", "factor"}) {
      Setting setting = of_learned_inverses(symmetric);
      setting.exchange = exchange;
      const std::vector<double> fused = train(setting, 3);
      setting.exchange = "dense";
      setting.clip_norm = huge;

      const std::vector<double> clipped = train(setting, 3);

      EXPECT_GT(distance(fused, whole_values(start(setting.gradient))), 1e-3);
      EXPECT_LT(distance(fused, clipped), 1e-12) << exchange << ", symmetric " << symmetric;
    }
  }
}

TEST(Update, EveryExchangeLearnsTheSameInverses) {
  const int ranks = mpi::Communicator::world().world_size();
  for (const bool symmetric : {false, true}) {
    Setting setting = of_learned_inverses(symmetric);
    const std::vector<double> dense = train(setting, 3);
    for (const char* name : {"sharded", "factor"}) {
      setting.exchange = name;
      EXPECT_LT(distance(train(setting, 3), dense), 1e-12) << name;
    }
    for (int row_groups = 2; row_groups <= ranks; ++row_groups) {
      if (ranks % row_groups != 0) continue;
      for (const char* inner : {"dense", "sharded", "factor"}) {
        setting.row_groups = row_groups;
        setting.exchange = inner;
        // R begins as W^{-1} by another factorisation: 1e-16 times its condition.
        EXPECT_LT(distance(train(setting, 3), dense), 1e-11) << row_groups << " " << inner;
      }
      setting.row_groups = 1;
    }
  }
}

/// Every rank ends with the same parameters by gathered as by dense.
void expect_gathered_as_dense(Setting setting) {
  setting.splits_evenly = true;
  const std::vector<double> dense = train(setting, 3);
  setting.exchange = "gathered";
  setting.tracks = setting.optimizer.kind == OptimizerKind::sgd &&
                   setting.gradient.kind == GradientKind::relative;

  const End gathered = train_tracked(setting, 3);

  const std::string what =
      fmt::format("{}, {} gradient, {} samples", name_of(setting.optimizer.kind),
                  setting.gradient.symmetric ? "symmetric" : "plain or relative", setting.samples);
  EXPECT_GT(distance(gathered.values, whole_values(start(setting.gradient))), 1e-4) << what;
  EXPECT_LT(distance(gathered.values, dense), 1e-12) << what;
  if (setting.tracks) {
    EXPECT_NEAR(gathered.tracked, gathered.log_abs_det, 1e-9) << what;
  }
  std::vector<double> most = gathered.values;
  mpi::Communicator::world().allreduce_max(most);
  EXPECT_EQ(gathered.values, most) << what;
}

TEST(Update, OfAllLayersInOneMessageIsTheSame) {
  for (const Index samples : {21, 2}) {  // of 4 ranks: parts of two sizes; two ranks have none
    for (const OptimizerKind kind : {OptimizerKind::sgd, OptimizerKind::adam}) {
      Setting setting;
      setting.optimizer.kind = kind;
      setting.samples = samples;
      expect_gathered_as_dense(setting);
    }
    for (const bool symmetric : {false, true}) {
      Setting setting = of_learned_inverses(symmetric);
      setting.samples = samples;
      expect_gathered_as_dense(setting);
    }
  }
  Setting natural;
  natural.optimizer.kind = OptimizerKind::natural;
  natural.samples = 41;  // natural steps divide by mean squares over them
  expect_gathered_as_dense(natural);
}

TEST(Update, OfNaturalStepsIsTheSameWhereRanksShareEveryWeightByColumns) {
  const int ranks = mpi::Communicator::world().world_size();
  if (ranks == 1) GTEST_SKIP() << "one rank shares nothing";
  Setting setting;
  setting.optimizer.kind = OptimizerKind::natural;
  setting.samples = 10;
  setting.optimizer.weight_decay = 0.1;
  const std::vector<double> dense = train(setting, 4);
  EXPECT_GT(distance(dense, start_values()), 1e-3);
  for (int row_groups = 2; row_groups <= ranks; ++row_groups) {
    if (ranks % row_groups != 0) continue;
    setting.row_groups = row_groups;
    for (const char* inner : {"dense", "sharded", "factor"}) {
      setting.exchange = inner;

      EXPECT_LT(distance(train(setting, 4), dense), 1e-12) << row_groups << " " << inner;
    }
  }
}

/// One linear layer before a normal latent, for which Delta = -Y. Trained by natural steps on
/// mixing x, from W = start mixing^{-1}, b = 0.3; returns W mixing, D x (D + 1) with b behind.
Matrix<double> train_natural(const Matrix<double>& mixing, int steps, double lr) {
  const auto comm = mpi::Communicator::world();
  const Products products(ProductBackend::openblas);
  Flow<double> flow(make_flow_spec(dimension, 1, {"none", {}}, {"none", {}}, Latent::normal),
                    products);
  flow.initialize(Initialization::identity, 0.5, 7);
  MatrixMap<double> w = flow.parameters().matrix(0);
  w = (w * mixing.inverse()).eval();
  std::ranges::fill(flow.parameters().values(1), 0.3);
  const auto exchange = make_exchange<double>("factor", comm, products);
  OptimizerOptions natural;
  natural.kind = OptimizerKind::natural;
  const auto update = make_update<double>(flow, *exchange, products, natural, 0);
  GradientOptions options(GradientKind::relative);
  options.natural = true;
  options.natural_epsilon = natural.epsilon;
  FlowGradient<double> gradient(flow, options);
  Workspace<double> workspace(flow, 30);
  for (int step = 0; step < steps; ++step) {
    const Matrix<double> x =
        mixing * test::normal_matrix<double>(
                     dimension, 30, static_cast<std::uint64_t>(10 * step + comm.rank()), 2.0);
    workspace.load(x.data(), 30);
    forward(flow, workspace);
    const StepNumbers numbers{step, 30.0 * comm.world_size(), lr, lr};
    update->begin(numbers);
    gradient.begin(numbers);
    gradient.backward(workspace, *update);
    update->finish(gradient);
  }
  Matrix<double> end(dimension, dimension + 1);
  end << w * mixing, VectorMap<double>(flow.parameters().values(1).data(), dimension);
  return end;
}

TEST(Update, NaturalStepsScaleTheRelativeGradientFromTheLeftAndTheRightOfE) {
  const int ranks = mpi::Communicator::world().world_size();
  const double lr = 0.1;
  const Matrix<double> none = Matrix<double>::Identity(dimension, dimension);
  const Matrix<double> start = train_natural(none, 1, lr);  // the first step only measures
  const Matrix<double> w = start.leftCols(dimension);
  const Vector<double> b = start.col(dimension);
  const auto outputs = [&](int step) {
    Matrix<double> y(dimension, 30 * ranks);
    for (int r = 0; r < ranks; ++r) {
      y.middleCols(30 * r, 30) =
          (w * test::normal_matrix<double>(dimension, 30, static_cast<std::uint64_t>(10 * step + r),
                                           2.0))
              .colwise() +
          b;
    }
    return y;
  };
  const double epsilon = OptimizerOptions{}.epsilon;
  const Vector<double> scale =
      (outputs(0).array().square().rowwise().mean() + epsilon).inverse().matrix();

  const Matrix<double> end = train_natural(none, 2, lr);

  // E = Delta Y^T / N + I = I - Y Y^T / N;  W' = W + e R E C W,  b' = b + e (R E C b + R mean
  // Delta)
  const Matrix<double> y = outputs(1);
  const Matrix<double> relative = none - y * y.transpose() / static_cast<double>(y.cols());
  const Matrix<double> scaled = scale.asDiagonal() * relative * scale.asDiagonal();
  // numbers of order 1, sums of up to 120 products
  EXPECT_LT((end.leftCols(dimension) - w - lr * scaled * w).cwiseAbs().maxCoeff(), 1e-13);
  EXPECT_LT((end.col(dimension) - b - lr * (scaled * b - scale.cwiseProduct(y.rowwise().mean())))
                .cwiseAbs()
                .maxCoeff(),
            1e-13);
}

TEST(Update, NaturalStepsDoNotDependOnHowTheCoordinatesAreMixed) {
  const Matrix<double> none = Matrix<double>::Identity(dimension, dimension);
  const Matrix<double> mixing = none + test::normal_matrix<double>(dimension, dimension, 3, 0.3);

  const Matrix<double> mixed = train_natural(mixing, 5, 0.1);

  // condition of the mixing ~10, five steps
  EXPECT_LT((mixed - train_natural(none, 5, 0.1)).cwiseAbs().maxCoeff(), 1e-11);
}

TEST(Update, TracksLogAbsDetByEveryExchangeThatHasTheFactors) {
  const int ranks = mpi::Communicator::world().world_size();
  Setting setting;
  setting.tracks = true;
  setting.samples = 4;
  setting.lr = 0.05;
  for (const OptimizerKind kind : {OptimizerKind::sgd, OptimizerKind::natural}) {
    setting.optimizer.kind = kind;
    setting.optimizer.weight_decay = 0.3;
    for (const double clip_norm : {0.0, 0.5}) {
      if (clip_norm > 0 && kind == OptimizerKind::natural) continue;
      setting.clip_norm = clip_norm;
      for (int row_groups = 1; row_groups <= ranks; ++row_groups) {
        if (ranks % row_groups != 0) continue;
        setting.row_groups = row_groups;
        setting.exchange = row_groups == ranks ? "dense" : (clip_norm > 0 ? "gathered" : "factor");
        if (clip_norm > 0 && row_groups > 1 && row_groups < ranks) continue;

        const End end = train_tracked(setting, 20);

        // 20 steps of determinants of matrices of condition ~10
        EXPECT_NEAR(end.tracked, end.log_abs_det, 1e-12) << row_groups << " " << clip_norm;
        EXPECT_GT(std::abs(end.log_abs_det), 0.1);
      }
    }
  }
}

TEST(Update, SaysWhyLogAbsDetIsNotTracked) {
  const auto comm = mpi::Communicator::world();
  const Products products(ProductBackend::openblas);
  const auto dense = make_exchange<double>("dense", comm, products);
  const auto why_not = [&](OptimizerKind optimizer, GradientKind gradient) {
    return why_log_abs_det_is_not_tracked(optimizer, gradient, *dense);
  };
  EXPECT_NE(why_not(OptimizerKind::adam, GradientKind::relative), "");
  EXPECT_NE(why_not(OptimizerKind::momentum, GradientKind::relative), "");
  EXPECT_NE(why_not(OptimizerKind::sgd, GradientKind::plain), "");
  EXPECT_EQ(why_not(OptimizerKind::sgd, GradientKind::relative).empty(), comm.world_size() == 1);
}

}  // namespace
}  // namespace relgrad
