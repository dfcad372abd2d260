#pragma once
/// Collectives of numbers. Long ones go in pieces between pairs of ranks (mpi/pieces.hpp), short
/// ones by MPI's own algorithms, which take fewer steps. `counts` are the lengths of all ranks'
/// parts, one after the other. For T float and double.
#include <cstdint>
#include <span>

#include "mpi/pieces.hpp"

namespace relgrad::mpi {

/// Every rank's `mine` into its part of `all`; `mine` may be that part.
template <class T>
void gather_parts(MPI_Comm comm, std::span<const T> mine, std::span<T> all,
                  std::span<const std::int64_t> counts);
/// Part r of `send` to rank r, whose part of this rank's `received` it becomes.
template <class T>
void exchange_parts(MPI_Comm comm, std::span<const T> send,
                    std::span<const std::int64_t> send_counts, std::span<T> received,
                    std::span<const std::int64_t> receive_counts);
/// This rank's part of the sum of all ranks' `values`, into `mine`, which may be that part. Long
/// sums add in the order of the ranks. @param room  keeps its memory from call to call
template <class T>
void sum_parts(MPI_Comm comm, std::span<const T> values, std::span<const std::int64_t> counts,
               std::span<T> mine, std::vector<std::byte>& room);
/// The sum of all ranks' `values` in their place.
template <class T>
void sum_over_ranks(MPI_Comm comm, std::span<T> values, std::vector<std::byte>& room);

}  // namespace relgrad::mpi
