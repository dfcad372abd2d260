#pragma once
/// Which ranks share a node, and which have the same place in theirs.
#include <cstddef>

#include "mpi/check.hpp"

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

}  // namespace relgrad::mpi
