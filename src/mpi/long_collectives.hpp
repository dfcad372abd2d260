#pragma once
/// Collectives of numbers by messages between pairs of ranks (mpi/pieces.hpp), in two levels: among
/// the ranks of a node, and along rails, which join the ranks that have the same place in every
/// node. Each part so crosses the link of every other node once, however many ranks are behind it.
/// `counts` are the lengths of all ranks' parts, one after the other. For T float and double.
#include <cstdint>
#include <span>
#include <vector>

#include "mpi/levels.hpp"

namespace relgrad::mpi {

/// Whether `bytes` in all go by pairs: not if messages are short, for which MPI's own collectives
/// need fewer steps, nor between uneven nodes. The first three functions below are for such that
/// do.
bool go_by_pairs(const Levels& levels, std::size_t bytes);

/// Every rank's `mine` into its part of `all`; `mine` may be that part.
template <class T>
void gather_by_pairs(const Levels& levels, std::span<const T> mine, std::span<T> all,
                     std::span<const std::int64_t> counts);
/// This rank's part of the sum of all ranks' `values`, into `mine`, which may be that part. Terms
/// are added in the order of the ranks within each node, then in the order of the nodes.
/// @param room  keeps its memory from call to call
template <class T>
void sum_parts_by_pairs(const Levels& levels, std::span<const T> values,
                        std::span<const std::int64_t> counts, std::span<T> mine,
                        std::vector<std::byte>& room);
/// The sum of all ranks' `values` in their place: each rank sums a part, and all gather the parts.
template <class T>
void sum_by_pairs(const Levels& levels, std::span<T> values, std::vector<std::byte>& room);
/// Part r of `send` to rank r, of whose `received` it becomes a part. Whether messages are short,
/// no rank can tell: always by pairs, as MPI does it as well.
template <class T>
void exchange_by_pairs(const Levels& levels, std::span<const T> send,
                       std::span<const std::int64_t> send_counts, std::span<T> received,
                       std::span<const std::int64_t> receive_counts);

}  // namespace relgrad::mpi
