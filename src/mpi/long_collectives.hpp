#pragma once
/// Collectives of numbers by messages between pairs of ranks (mpi/pieces.hpp). Each returns false,
/// and has done nothing, where MPI's own does it better: short messages, for which MPI needs fewer
/// steps; and where each of several nodes has several ranks, since MPI's rings cross every node's
/// link once, and pairs would once for each rank behind it. `counts` are the lengths of all ranks'
/// parts, one after the other. For T float and double.
#include <cstdint>
#include <span>

#include "mpi/pieces.hpp"

namespace relgrad::mpi {

/// The ranks that act together.
struct Ranks {
  MPI_Comm comm;
  int rank = 0;
  int size = 1;
  bool by_pairs = false;  // every rank has a node to itself, or all are on one
};
/// Collective.
Ranks ranks_of(MPI_Comm comm);

/// Every rank's `mine` into its part of `all`; `mine` may be that part.
template <class T>
bool gather_by_pairs(const Ranks& ranks, std::span<const T> mine, std::span<T> all,
                     std::span<const std::int64_t> counts);
/// Part r of `send` to rank r, of whose `received` it becomes a part. Always: whether messages are
/// short, no rank can tell, and MPI goes by pairs as well.
template <class T>
void exchange_by_pairs(const Ranks& ranks, std::span<const T> send,
                       std::span<const std::int64_t> send_counts, std::span<T> received,
                       std::span<const std::int64_t> receive_counts);
/// This rank's part of the sum of all ranks' `values`, into `mine`, which may be that part; terms
/// are added in the order of the ranks. @param room  keeps its memory from call to call
template <class T>
bool sum_parts_by_pairs(const Ranks& ranks, std::span<const T> values,
                        std::span<const std::int64_t> counts, std::span<T> mine,
                        std::vector<std::byte>& room);
/// The sum of all ranks' `values` in their place: each rank sums a part, and all gather the parts.
template <class T>
bool sum_by_pairs(const Ranks& ranks, std::span<T> values, std::vector<std::byte>& room);

}  // namespace relgrad::mpi
