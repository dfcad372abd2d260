#include "bench/bench_fixture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "core/stopwatch.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/partition.hpp"
#include "relgrad/core/random.hpp"
#include "translate/translate.hpp"
#include "tuning/determinism.hpp"
#include "tuning/product_choice.hpp"

namespace relgrad {

namespace {

/// "3x32x32"
std::vector<Index> sample_shape_from(const std::string& text) {
  std::vector<Index> shape(3);
  int end = 0;
  const int read =
      std::sscanf(text.c_str(), "%tdx%tdx%td%n", &shape[0], &shape[1], &shape[2], &end);
  const bool fits = read == 3 && static_cast<std::size_t>(end) == text.size() &&
                    std::ranges::all_of(shape, [](Index n) { return n >= 1 && n <= 1 << 16; });
  if (!fits) {
    throw UsageError(
        fmt::format("--sample: '{}' is no shape; write CHANNELSxHEIGHTxWIDTH, e.g. 3x32x32", text));
  }
  return shape;
}

template <class T>
PreparedBatch<T> random_batch(Index dimension, std::int64_t global, const Range& part,
                              std::uint64_t seed) {
  PreparedBatch<T> batch;
  batch.x.resize(dimension, part.size());
  batch.log_slope.assign(static_cast<std::size_t>(part.size()), 0.0);
  batch.count = part.size();
  batch.global_count = global;
  for (Index n = 0; n < part.size(); ++n) {
    RandomStream(seed, Purpose::test, 0, static_cast<std::uint64_t>(part.begin + n))
        .normal(std::span(batch.x.col(n).data(), static_cast<std::size_t>(dimension)));
  }
  return batch;
}

}  // namespace

FlowSpec spec_of(const BenchStepOptions& options, Index dimension) {
  const TrainOptions train = train_options(options);
  if (!options.model.empty()) {
    DatasetInfo data;
    data.sample_shape = sample_shape_from(options.sample);
    return flow_spec_of(train, data);
  }
  const LayerSpec activation = activation_spec(options.activation, train);
  return make_flow_spec(dimension, options.layers, activation,
                        options.activation == "spline" ? activation : LayerSpec{"none", {}},
                        Latent::normal);
}

TrainOptions train_options(const BenchStepOptions& options) {
  TrainOptions train;
  train.layers = options.layers;
  train.model = options.model;
  train.gradient = options.gradient;
  train.activation = options.activation;
  train.optimizer = options.optimizer;
  train.products = options.products;
  train.compute = options.compute;
  train.exchange = options.exchange;
  train.row_groups = options.row_groups;
  train.threads = options.threads;
  train.batch_size = options.batch_size;
  train.deterministic = options.deterministic;
  return train;
}

template <class T>
BenchFixture<T>::BenchFixture(const BenchStepOptions& options, Index dimension,
                              const mpi::Communicator& comm, double noise)
    : spec(spec_of(options, dimension)),
      work(work_of(spec)),
      products(choose_products<T>(train_options(options), work.matrix_size, comm)),
      sharing(train_options(options), work, comm, products),
      flow(spec, products, sharing.row_group()),
      exchange(sharing.make_exchange()),
      update(make_update<T>(flow, *exchange, products, {parse_optimizer_kind(options.optimizer)},
                            0.0, exact_terms_of(train_options(options)))),
      batch(random_batch<T>(spec.dimension(), options.batch_size,
                            part_of(options.batch_size, comm.rank(), comm.world_size()),
                            options.seed)),
      step(flow, part_of(options.batch_size, 0, comm.world_size()).size(),
           gradient_options_of(train_options(options)), *exchange, *update, comm) {
  flow.initialize(Initialization::identity, noise, options.seed);
}

template <class T>
void BenchFixture<T>::run() {
  const StepStatus status = step.look(&batch, {});
  step.move({done++, status.samples, 1e-3, 1e-3});
}

template <class T>
double BenchFixture<T>::milliseconds() {
  const Stopwatch watch;
  run();
  return 1e3 * watch.seconds();
}

template struct BenchFixture<float>;
template struct BenchFixture<double>;

}  // namespace relgrad
