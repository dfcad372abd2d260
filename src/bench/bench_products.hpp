#pragma once
/// `relgrad bench products`: the products of a step by every back end, checked, then timed.
#include "bench/bench_step.hpp"

namespace relgrad {

/// Collective; every rank computes the same, so that they share the machine as in a run, and the
/// root tells what it saw. Each product of a step (W X, W^T [Delta | Y], the first layer's W^T Y, a
/// tile of Delta P^T) by each back end, in turns. Checked first: elements from all over the result
/// against sums in double precision, within the bound of float summation. Returns the exit code.
/// @throws Error on every rank together.
int bench_products(const BenchStepOptions& options, const mpi::Communicator& comm);

}  // namespace relgrad
