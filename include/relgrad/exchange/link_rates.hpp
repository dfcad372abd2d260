#pragma once
/// How fast the collectives of an exchange are between these ranks: measured.
#include <functional>

#include "relgrad/core/spread.hpp"
#include "relgrad/exchange/cost_model.hpp"
#include "relgrad/mpi/communicator.hpp"

namespace relgrad {

/// Collective. Seconds that `work` takes where it takes longest, every rank beginning at the same
/// time, in a few calls; the same numbers on every rank.
Spread seconds_on_all_ranks(const mpi::Communicator& comm, const std::function<void()>& work);

/// Collective. Rates of messages of the sizes that a step of `shape` sends, at most some MiB; the
/// same numbers on every rank. Takes some ten messages' time of each of four collectives, among all
/// ranks and among those of every grid of them.
GridLinks measure_links(const mpi::Communicator& comm, const StepShape& shape);

/// The same of a network of which one knows the speed of a rank's link alone.
/// @param bandwidth  bytes a second. @param latency  seconds from rank to rank
GridLinks told_links(double bandwidth, double latency);

}  // namespace relgrad
