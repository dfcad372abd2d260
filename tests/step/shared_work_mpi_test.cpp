// Every rank runs every test; run with 1, 2 and 4 ranks.
#include <gtest/gtest.h>

#include "relgrad/core/error.hpp"
#include "relgrad/model/model_line.hpp"
#include "step/update_runs.hpp"

namespace relgrad {
namespace {

const SampleShape shape(2, 4, 6);
const std::string line = "conv:3 conv:3:circular conv:1 conv:5";

Flow<double> start() {
  Flow<double> flow({shape, Latent::normal, parse_model_line(line)},
                    Products(ProductBackend::openblas));
  flow.initialize(Initialization::identity, 0.3, 7);
  flow.prepare();
  return flow;
}

struct End {
  std::vector<double> values;
  double log_abs_det = 0;
};

/// Three steps of `flow` on batches of which a rank has rank + 1 samples.
End train(Flow<double>& flow, bool shares, std::int64_t exact_terms, double clip_norm = 0) {
  const auto comm = mpi::Communicator::world();
  const Products products(ProductBackend::openblas);
  const auto exchange = make_exchange<double>("dense", comm, products);
  OptimizerOptions optimizer;
  optimizer.kind = OptimizerKind::sgd;
  const auto update =
      make_update<double>(flow, *exchange, products, optimizer, clip_norm, exact_terms);
  FlowGradient<double> gradient(flow, {});
  if (shares) gradient.share_work(comm.rank(), comm.world_size());
  const Index samples = comm.rank() + 1;
  double total = static_cast<double>(samples);
  comm.allreduce_sum(std::span(&total, 1));
  Workspace<double> workspace(flow, samples);
  End end;
  for (int step = 0; step < 3; ++step) {
    const auto x = test::normal_matrix<double>(shape.size(), samples,
                                               static_cast<std::uint64_t>(10 * step + comm.rank()));
    workspace.load(x.data(), samples);
    forward(flow, workspace);
    const StepNumbers numbers{step, total, 0.01, 0.01};
    update->begin(numbers);
    gradient.begin(numbers);
    gradient.backward(workspace, *update);
    update->finish(gradient);
    flow.prepare();
  }
  end.values = test::whole_values(flow);
  end.log_abs_det = gradient.log_abs_det().value();
  return end;
}

TEST(SharedWork, EndsAsThatOfRanksThatEachDoAll) {
  Flow<double> alone = start();
  const std::vector<double> begin = test::whole_values(alone);
  const End each = train(alone, false, 0);
  EXPECT_GT(test::distance(each.values, begin), 1e-3);
  for (const auto& [exact_terms, clip_norm] :
       {std::pair{0, 0.0}, std::pair{64, 0.0}, std::pair{0, 1e300}, std::pair{64, 1e300}}) {
    Flow<double> flow = start();

    const End shared = train(flow, true, exact_terms, clip_norm);

    // Exact sums round to a grid of 2^(14 + 7 - 51), per term.
    const double tolerance = exact_terms > 0 ? 1e-7 : 1e-12;
    EXPECT_LT(test::distance(shared.values, each.values), tolerance)
        << exact_terms << " " << clip_norm;
    EXPECT_NEAR(shared.log_abs_det, each.log_abs_det, 100 * tolerance) << exact_terms;
  }
}

TEST(SharedWork, OfOneRankThatFailsEndsEveryRank) {
  for (const std::int64_t exact_terms : {0, 64}) {
    Flow<double> flow = start();
    std::ranges::fill(flow.parameters().values(0), 0.0);  // layer/0/w
    EXPECT_THROW(train(flow, true, exact_terms), DivergedError) << exact_terms;
  }
}

}  // namespace
}  // namespace relgrad
