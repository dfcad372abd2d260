#pragma once
/// `relgrad plan`: what a step will cost on so many ranks under each exchange, by the cost model,
/// before anybody asks a cluster for them.
#include <cstdint>
#include <string>

#include "relgrad/mpi/communicator.hpp"

namespace relgrad {

struct PlanOptions {
  // the step
  std::int64_t dim = 784;
  std::int64_t layers = 2;
  std::string model;               // as train's --model; empty: by dim, layers and activation
  std::string sample = "1x28x28";  // of the model: channels x height x width
  std::int64_t classes = 0;        // of a conditional model; 0: it is none
  std::int64_t batch_size = 100;   // GLOBAL
  std::int64_t ranks = 0;          // 0: as many as were started
  std::int64_t threads = 1;        // per rank
  std::string activation = "spline";
  std::string optimizer = "adam";
  std::string precision = "float32";
  // the machine, as told
  std::int64_t cores = 0;   // that all ranks share; 0: every thread has its own
  double gflops = 50;       // GFLOP/s a thread, in products
  double memory_gbps = 15;  // GB/s a rank
  double memory_gib = 0;    // GiB a rank may take; 0: no limit
  double link_gbps = 10;    // Gbit/s, a rank's link
  double latency_us = 20;   // from rank to rank
  // the machine, as measured
  bool measure = false;
  bool compare = false;     // time real steps as well
  std::int64_t steps = 15;  // of each exchange, with compare
  std::string products = "auto";
  std::string json;  // file, or - for standard output
};

/// Collective. Prints the table, the choice with its reason and what would pay next. Returns the
/// exit code. @throws UsageError on every rank.
int plan(const PlanOptions& options, const mpi::Communicator& comm);

}  // namespace relgrad
