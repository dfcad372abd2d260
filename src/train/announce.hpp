#pragma once
/// What a run says of itself before it starts and when it is done.
#include "relgrad/exchange/exchange.hpp"
#include "run/resume.hpp"
#include "start/model.hpp"

namespace relgrad {

/// Cores this process may run on.
int cores_available();

/// Data, model and ranks, a line each; warns of more threads than cores.
template <class T>
void announce(const TrainOptions& options, const DatasetInfo& dataset, const Model<T>& model,
              const Exchange<T>& exchange, const Products& products, int world_size);

/// Steps, time, the best validation and what to do next.
void announce_end(const TrainOptions& options, const RunState& state, double seconds);

}  // namespace relgrad
