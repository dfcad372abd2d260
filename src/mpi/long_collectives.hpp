#pragma once
/// Collectives of numbers by messages between pairs of ranks (mpi/pieces.hpp), in two levels: among
/// the ranks of a node, and along rails, which join the ranks that have the same place in every
/// node. Each part so crosses the link of every other node once, however many ranks are behind it.
/// `counts` are the lengths of all ranks' parts, one after the other. For T float and double.
#include <cstdint>
#include <span>

#include "mpi/pieces.hpp"

namespace relgrad::mpi {

/// The ranks of a communicator, node by node.
class Levels {
 public:
  /// Collective. Nodes are what MPI knows as such.
  explicit Levels(MPI_Comm comm);
  /// The same with the ranks of this node given; they become this object's own.
  Levels(MPI_Comm comm, MPI_Comm node);
  ~Levels();
  Levels(const Levels&) = delete;
  Levels& operator=(const Levels&) = delete;

  MPI_Comm comm() const { return comm_; }
  MPI_Comm node() const { return node_; }
  MPI_Comm rail() const { return rail_; }
  int rank() const { return rank_; }
  int size() const { return nodes_ * places_; }
  int nodes() const { return nodes_; }
  int places() const { return places_; }  // ranks of every node
  /// The rank at this rank's place of node `n`; at place `p` of it.
  std::size_t on_rail(int n) const { return on_node(n, rank_ % places_); }
  std::size_t on_node(int n, int p) const { return static_cast<std::size_t>(n * places_ + p); }
  /// Whether every node has as many ranks, one after the other, as mpirun places them.
  bool are_even() const { return are_even_; }

 private:
  void find_rails();

  MPI_Comm comm_;
  MPI_Comm node_ = MPI_COMM_NULL;
  MPI_Comm rail_ = MPI_COMM_NULL;
  int rank_ = 0;
  int nodes_ = 1;
  int places_ = 1;
  bool are_even_ = false;
};

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
