// Every rank runs every test; run with 1, 2 and 4 ranks.
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "relgrad/exchange/exchange.hpp"
#include "step/step.hpp"
#include "support/central_differences.hpp"
#include "support/count_allocations.hpp"

namespace relgrad {
namespace {

constexpr Index dimension = 70;
constexpr Index samples = 24;

PreparedBatch<float> batch_of(Index count) {
  PreparedBatch<float> batch;
  batch.x = test::normal_matrix<float>(dimension, count, 3);
  batch.log_slope.assign(static_cast<std::size_t>(count), 0.0);
  batch.count = count;
  batch.global_count = count;
  return batch;
}

TEST(CountAllocations, SeesNewAndMalloc) {
  if (RELGRAD_COUNTS_ALLOCATIONS == 0) GTEST_SKIP() << "the sanitizer has its own malloc";
  std::vector<int*> made;
  made.reserve(2);
  const long count = test::allocations_in([&] {
    made.push_back(new int(1));
    made.push_back(static_cast<int*>(std::malloc(sizeof(int))));
  });
  EXPECT_EQ(count, 2);
  delete made[0];
  std::free(made[1]);
}

// The products of oneDNN take scratch memory of their own at each call.
TEST(TrainStep, AsksForNoMemoryAfterTheFirstStep) {
  const auto comm = mpi::Communicator::world();
  if (comm.world_size() > 1) GTEST_SKIP() << "messages between ranks take memory";
  if (RELGRAD_COUNTS_ALLOCATIONS == 0) GTEST_SKIP() << "the sanitizer has its own malloc";
  const LayerSpec spline{"spline", {{"bins", 6}, {"bound", 4}}};
  const LayerSpec leaky{"smooth-leaky-relu", {{"slope", 0.3}}};
  for (const ProductBackend backend : {ProductBackend::ordered, ProductBackend::openblas}) {
    for (const LayerSpec& activation : {spline, leaky}) {
      const Products products(backend);
      Flow<float> flow(make_flow_spec(dimension, 2, activation, activation, Latent::normal),
                       products);
      flow.initialize(Initialization::identity, 0.1, 1);
      const auto exchange = make_exchange<float>("dense", comm, products);
      const auto update = make_update<float>(flow, *exchange, products, OptimizerOptions{}, 0.0);
      TrainStep<float> step(flow, samples, GradientKind::relative, *exchange, *update, comm);
      const PreparedBatch<float> whole = batch_of(samples);
      const PreparedBatch<float> last = batch_of(samples / 2);  // of an epoch
      std::int64_t done = 0;
      const auto run = [&](const PreparedBatch<float>& batch) {
        const StepStatus status = step.look(&batch, {});
        step.move({done++, status.samples, 1e-3, 1e-3});
      };
      run(whole);

      const long count = test::allocations_in([&] {
        for (int i = 0; i < 5; ++i) {
          run(whole);
          run(last);
        }
      });

      EXPECT_EQ(count, 0) << name_of(backend) << ", " << activation.kind;
    }
  }
}

}  // namespace
}  // namespace relgrad
