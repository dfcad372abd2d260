#pragma once
/// Long messages between all pairs of ranks, in pieces, many under way at once. A network's link
/// carries both directions at the same time only while there is something to send in both: Open
/// MPI's collectives, and MPI_Sendrecv, over TCP often send one whole message after the other, and
/// take twice as long.
#include <cstddef>
#include <span>
#include <vector>

#include "mpi/check.hpp"

namespace relgrad::mpi {

/// Collective. Rank r's to[s] arrives in rank s's from[r]; both are of the same size, and what is
/// neither read nor written is a rank's message to itself. In round k every rank sends to the k-th
/// rank after it and receives from the k-th before, so that no rank is sent to by all at once.
void exchange_in_pieces(MPI_Comm comm, const std::vector<std::span<const std::byte>>& to,
                        const std::vector<std::span<std::byte>>& from);

}  // namespace relgrad::mpi
