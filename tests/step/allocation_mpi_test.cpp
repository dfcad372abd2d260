// Every rank runs every test; run with 1, 2 and 4 ranks.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "relgrad/exchange/row_group.hpp"
#include "relgrad/model/model_line.hpp"
#include "step/step.hpp"
#include "support/central_differences.hpp"
#include "support/count_allocations.hpp"

namespace relgrad {
namespace {

constexpr Index samples = 24;

PreparedBatch<float> batch_of(Index dimension, Index count, int ranks) {
  PreparedBatch<float> batch;
  batch.x = test::normal_matrix<float>(dimension, count, 3);
  batch.log_slope.assign(static_cast<std::size_t>(count), 0.0);
  batch.count = count;
  batch.global_count = count * ranks;
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

/// Runs the same flow's steps, of whole batches and of an epoch's last one.
class Steps {
 public:
  Steps(const std::string& line, const SampleShape& shape, const GradientOptions& gradient,
        const Products& products, const std::string& exchange, std::int64_t exact_terms)
      : comm_(mpi::Communicator::world()),
        group_(exchange == "row" ? make_row_group<float>(comm_, 0) : nullptr),
        flow_(spec_of(line, shape, gradient), products, group_.get()),
        exchange_(
            group_ ? make_row_exchange<float>("dense", comm_, *group_, products)
                   : make_exchange<float>(exchange == "row" ? "dense" : exchange, comm_, products)),
        update_(
            make_update<float>(flow_, *exchange_, products, OptimizerOptions{}, 0.0, exact_terms)),
        step_(flow_, samples, gradient, *exchange_, *update_, comm_),
        whole_(batch_of(shape.size(), samples, comm_.world_size())),
        last_(batch_of(shape.size(), samples / 2, comm_.world_size())) {
    flow_.initialize(Initialization::identity, 0.1, 1);
  }
  void run() {
    for (const PreparedBatch<float>* batch : {&whole_, &last_}) {
      const StepStatus status = step_.look(batch, {});
      step_.move({done_++, status.samples, 1e-3, 1e-3});
    }
  }

 private:
  static FlowSpec spec_of(const std::string& line, const SampleShape& shape,
                          const GradientOptions& gradient) {
    FlowSpec spec{shape, Latent::normal, parse_model_line(line)};
    for (LayerSpec& layer : spec.layers) {
      const bool learns = layer.kind == "linear" || layer.kind == "conv";
      if (learns && gradient.needs_kept_inverse()) layer.settings["inverse"] = 1;
    }
    return spec;
  }

  mpi::Communicator comm_;
  std::unique_ptr<MpiRowGroup<float>> group_;
  Flow<float> flow_;
  std::unique_ptr<Exchange<float>> exchange_;
  std::unique_ptr<Update<float>> update_;
  TrainStep<float> step_;
  PreparedBatch<float> whole_;
  PreparedBatch<float> last_;
  std::int64_t done_ = 0;
};

struct Model {
  std::string line;
  SampleShape shape;
};

const std::vector<Model>& models() {
  static const std::vector<Model> all = {
      {"2*(linear spline:6:4)", {70}},
      {"linear smooth-leaky-relu linear leaky-tanh", {70}},
      {"2*(conv:3 spline:5:3) squeeze conv:3:circular spline:5:3:channel conv:1", {1, 12, 8}},
      {"snf-conv", {1, 12, 12}},
      {"glow:2x2:8", {3, 8, 8}},
      {"spectral spline:5:3:ring spectral:frequencies spline:5:3", {3, 8, 8}},
  };
  return all;
}

// The products of oneDNN and of bf16 take scratch memory of their own at each call.
TEST(TrainStep, AsksForNoMemoryAfterTheFirstOnOneRank) {
  if (mpi::Communicator::world().world_size() > 1) GTEST_SKIP() << "messages take memory";
  if (RELGRAD_COUNTS_ALLOCATIONS == 0) GTEST_SKIP() << "the sanitizer has its own malloc";
  for (const Model& model : models()) {
    for (const ProductBackend backend : {ProductBackend::ordered, ProductBackend::openblas}) {
      for (const GradientKind gradient : {GradientKind::relative, GradientKind::self_normalizing}) {
        for (const std::int64_t exact_terms : {std::int64_t{0}, std::int64_t{samples}}) {
          const Products products(backend);
          Steps steps(model.line, model.shape, gradient, products, "dense", exact_terms);
          steps.run();

          const long count = test::allocations_in([&] {
            for (int i = 0; i < 3; ++i) steps.run();
          });

          EXPECT_EQ(count, 0) << model.line << ", " << name_of(backend) << ", " << name_of(gradient)
                              << ", exact terms " << exact_terms;
        }
      }
    }
  }
}

// Messages take lists of as many numbers as there are ranks: nothing of the size of a matrix or of
// a batch.
TEST(TrainStep, AsksForNoMemoryOfTheSizeOfItsMatricesOnAnyNumberOfRanks) {
  if (RELGRAD_COUNTS_ALLOCATIONS == 0) GTEST_SKIP() << "the sanitizer has its own malloc";
  constexpr std::size_t most_bytes = 1024;
  const Products products(ProductBackend::openblas);
  const auto largest_of = [&](const Model& model, const std::string& exchange) {
    Steps steps(model.line, model.shape, GradientKind::relative, products, exchange, 0);
    for (int i = 0; i < 3; ++i) steps.run();
    test::allocations_in([&] { steps.run(); });
    return test::largest_allocation.load();
  };
  for (const std::string exchange : {"dense", "sharded", "factor", "gathered", "row"}) {
    EXPECT_LE(largest_of({"2*(linear spline:6:4)", {256}}, exchange), most_bytes) << exchange;
  }
  EXPECT_LE(largest_of({"glow:2x2:32", {3, 8, 8}}, "dense"), most_bytes);
}

}  // namespace
}  // namespace relgrad
