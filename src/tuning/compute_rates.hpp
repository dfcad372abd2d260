#pragma once
/// How fast a rank computes the parts of a step while all ranks of its machine do: measured.
#include "exchange/cost_model.hpp"
#include "relgrad/linalg/products.hpp"
#include "relgrad/model/registry.hpp"
#include "relgrad/mpi/communicator.hpp"
#include "relgrad/optim/optimizer.hpp"

namespace relgrad {

/// Collective. The rates of the slowest rank, the same numbers on every rank: products with a piece
/// of W and as many samples as ranks have, the optimizer, element-wise layers. Takes some tenths of
/// a second.
/// @param activation  kind "none": element_seconds is 0. @param threads  a rank, as set_threads set
template <class T>
ComputeRates measure_compute(const mpi::Communicator& comm, const Products& products,
                             const StepShape& shape, const LayerSpec& activation,
                             const OptimizerOptions& optimizer, int threads);

}  // namespace relgrad
