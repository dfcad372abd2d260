#pragma once
/// `relgrad bench step`: one whole training step, checked, then timed.
#include <cstdint>
#include <string>

#include "relgrad/mpi/communicator.hpp"

namespace relgrad {

struct BenchStepOptions {
  std::int64_t dim = 784;
  std::int64_t layers = 2;
  std::string model;                  // as train's --model; empty: by dim, layers and activation
  std::string sample = "1x28x28";     // of the model: channels x height x width
  std::string gradient = "relative";  // relative | self-normalizing
  std::int64_t batch_size = 100;      // GLOBAL
  std::string activation = "smooth-leaky-relu";
  std::string optimizer = "adam";
  std::int64_t steps = 30;  // timed
  std::int64_t warmup = 5;
  std::int64_t threads = 1;
  std::string exchange = "auto";
  std::int64_t row_groups = 0;  // with row: ranks that share every W; 0: all
  std::string products = "auto";
  std::string compute = "float32";
  bool deterministic = false;  // beside the same step without it, turn by turn
  std::uint64_t seed = 1;
  std::string dump;  // .h5: weights before, batch, weights after ONE step; nothing is timed
  std::string json;  // file, or - for standard output
};

/// Collective. Forward, backward, exchange and update of random data (no reading, no transform) in
/// single precision. Checked first, of a --model: the derivative of the log-likelihood by the input
/// along a random direction, in double precision, against central differences. Of full layers: one
/// step in double precision with the plain gradient and the
/// whole gradient held moves every weight as the fast path does, up to the factor M^T M that tells
/// the two estimators apart. Returns the exit code. @throws Error on every rank together.
int bench_step(const BenchStepOptions& options, const mpi::Communicator& comm);

}  // namespace relgrad
