#pragma once
/// `relgrad bench exchange`: one training step under every exchange, each checked against dense,
/// then timed in turns.
#include <vector>

#include "bench/bench_step.hpp"
#include "exchange/cost_model.hpp"

namespace relgrad {

/// Of one step; the slowest rank's.
struct ExchangeTime {
  ExchangeChoice choice;
  double median_ms = 0;
  double min_ms = 0;
  double max_ms = 0;
  double exchange_ms = 0;  // mean spent in collectives, waiting for slower ranks included
  std::int64_t bytes_sent = 0;
};

/// Collective. Steps of random data in single precision, as many of each choice as options.steps,
/// in rounds that take turns.
std::vector<ExchangeTime> time_exchanges(const BenchStepOptions& options,
                                         const std::vector<ExchangeChoice>& choices,
                                         const mpi::Communicator& comm);

/// Collective. Every exchange there is for these ranks, or with --exchange that one beside dense.
/// Returns the exit code. @throws Error on every rank if a step's weights are not dense's.
int bench_exchange(const BenchStepOptions& options, const mpi::Communicator& comm);

}  // namespace relgrad
