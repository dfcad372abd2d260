#pragma once
/// Measured speed of the collectives of an exchange between these ranks.
#include <functional>

#include "core/spread.hpp"
#include "exchange/cost_model.hpp"
#include "relgrad/mpi/communicator.hpp"

namespace relgrad {

/// Collective. Seconds that the slowest rank takes for `work`, in a few calls that all ranks begin
/// at the same time; the same numbers on every rank.
Spread seconds_on_all_ranks(const mpi::Communicator& comm, const std::function<void()>& work);

/// Collective. Rates for messages as large as those of a step of `shape`, up to a few MiB; the same
/// numbers on every rank. Takes the time of about ten messages of each of four collectives, among
/// all ranks and within the groups of every grid.
GridLinks measure_links(const mpi::Communicator& comm, const StepShape& shape);

/// The same for a network of which only the speed of a rank's link is known.
/// @param bandwidth  bytes per second. @param latency  seconds from rank to rank
GridLinks told_links(double bandwidth, double latency);

}  // namespace relgrad
