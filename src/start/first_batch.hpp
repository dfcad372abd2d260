#pragma once
/// Layers that start from the first batch of all ranks, whatever --init says: actnorm.
#include "relgrad/data/dataset.hpp"
#include "relgrad/model/flow.hpp"
#include "relgrad/mpi/communicator.hpp"
#include "relgrad/transform/transform.hpp"

namespace relgrad {

/// Collective. Passes the first global batch of the run through the flow, layer by layer, each
/// started before it is passed through (Layer::first_batch_start). The same bits on any number of
/// ranks. Does nothing if no layer wants it.
/// @throws DataError on every rank
template <class T>
void start_from_first_batch(Flow<T>& flow, const Transform<T>& transform, const SplitReader& train,
                            std::int64_t batch_size, std::uint64_t seed,
                            const mpi::Communicator& comm);

}  // namespace relgrad
