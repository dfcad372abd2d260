#pragma once
/// The epoch loop behind `relgrad train`.
#include "options/options.hpp"
#include "relgrad/mpi/communicator.hpp"

namespace relgrad {

/// Collective. Trains, validates and saves as `options` say; returns the exit code of the process.
/// @throws Error on every rank together.
int train(const TrainOptions& options, const mpi::Communicator& comm);

/// Collective. What train() would take, printed by root: reads the data, looks at the run
/// directory, makes some steps, and writes nothing. Returns and throws like train().
int dry_run(const TrainOptions& options, const mpi::Communicator& comm);

}  // namespace relgrad
