#pragma once
/// One training step of random data, to be run again and again: what benchmarks time.
#include <memory>

#include "bench/bench_step.hpp"
#include "step/step.hpp"
#include "tuning/sharing.hpp"

namespace relgrad {

/// What decides products and exchange.
TrainOptions train_options(const BenchStepOptions& options);
/// The flow that is timed: of --model, or of `dimension`. @throws UsageError
FlowSpec spec_of(const BenchStepOptions& options, Index dimension);

/// Everything one step needs. Collective.
template <class T>
struct BenchFixture {
  FlowSpec spec;
  FlowWork work;  // what products and exchange go by
  Products products;
  Sharing<T> sharing;
  Flow<T> flow;
  std::unique_ptr<Exchange<T>> exchange;
  std::unique_ptr<Update<T>> update;
  PreparedBatch<T> batch;
  TrainStep<T> step;
  std::int64_t done = 0;

  /// @param noise  of the weights beside the identity; 0 saves the time it takes to draw it
  BenchFixture(const BenchStepOptions& options, Index dimension, const mpi::Communicator& comm,
               double noise = 0.5);
  void run();
  double milliseconds();  // of a run
};

}  // namespace relgrad
