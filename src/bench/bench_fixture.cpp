#include "bench/bench_fixture.hpp"

#include <chrono>

#include "relgrad/core/partition.hpp"
#include "relgrad/core/random.hpp"
#include "start/model.hpp"
#include "tuning/determinism.hpp"
#include "tuning/product_choice.hpp"

namespace relgrad {

namespace {

FlowSpec spec_of(const BenchStepOptions& options, Index dimension) {
  const LayerSpec activation = activation_spec(options.activation, train_options(options));
  return make_flow_spec(dimension, options.layers, activation,
                        options.activation == "spline" ? activation : LayerSpec{"none", {}},
                        Latent::normal);
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

TrainOptions train_options(const BenchStepOptions& options) {
  TrainOptions train;
  train.layers = options.layers;
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
    : products(choose_products<T>(train_options(options), dimension, comm)),
      sharing(train_options(options), dimension, comm, products),
      flow(spec_of(options, dimension), products, sharing.row_group()),
      exchange(sharing.make_exchange()),
      update(make_update<T>(flow, *exchange, products, {parse_optimizer_kind(options.optimizer)},
                            0.0, exact_terms_of(train_options(options)))),
      batch(random_batch<T>(dimension, options.batch_size,
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
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

template struct BenchFixture<float>;
template struct BenchFixture<double>;

}  // namespace relgrad
