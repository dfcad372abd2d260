#pragma once
/// Whether a thread of its own sums and applies a layer's gradient while the backward pass goes on
/// through the layers below: what --overlap means.
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "options/options.hpp"
#include "relgrad/mpi/communicator.hpp"

namespace relgrad {

struct OverlapChoice {
  bool is_on = false;
  std::string reason;  // why it is off, in a few words
};

/// What rules overlap out and what to use instead, as the end of an error; empty: nothing does. MPI
/// must be there.
std::string why_not_overlapped(std::string_view exchange, double clip_norm);

/// CPUs that `rank` has for itself: one that n ranks of its machine may run on counts 1/n.
/// @param places  of every rank "HOST 0110": its machine, and which CPUs of it the rank may run on
double own_cpus(const std::vector<std::string>& places, std::size_t rank);

/// Collective; the same choice on every rank. `auto` is on with several ranks and layers where
/// every rank has a CPU more than --threads, and where there is something to gain.
/// @param exchange  as Sharing::name has it
/// @throws UsageError on every rank if `on` cannot be had.
OverlapChoice choose_overlap(const TrainOptions& options, std::string_view exchange,
                             const mpi::Communicator& comm);

}  // namespace relgrad
