#pragma once
/// A duplicate of a communicator, owned; every call checks MPI's answer. Sums are over ranks.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace relgrad::mpi {

class Communicator {
 public:
  /// A duplicate of MPI_COMM_WORLD.
  static Communicator world();
  ~Communicator();
  Communicator(Communicator&&) noexcept;
  Communicator& operator=(Communicator&&) noexcept;

  /// Collective. The ranks that pass the same `color`, in the order of their `key`.
  Communicator split(int color, int key) const;

  int rank() const { return rank_; }
  int world_size() const { return world_size_; }
  bool is_root() const { return rank_ == 0; }

  void barrier() const;
  /// In place; every rank must pass the same length. Long spans travel in pieces.
  void allreduce_sum(std::span<float> values) const;
  void allreduce_sum(std::span<double> values) const;
  void allreduce_sum(std::span<std::int64_t> values) const;
  void allreduce_max(std::span<double> values) const;
  void allreduce_min(std::span<std::int64_t> values) const;
  void broadcast(std::span<std::byte> bytes, int root = 0) const;
  std::string broadcast_string(const std::string& text, int root = 0) const;
  /// Every rank's text, in rank order, on every rank.
  std::vector<std::string> allgather_strings(const std::string& text) const;
  std::vector<double> allgather(double value) const;
  /// Contiguous pieces of all ranks, in rank order, into `all`. counts[r] elements come from rank
  /// r; `mine` may point to this rank's place in `all`.
  void allgather(std::span<const float> mine, std::span<float> all,
                 std::span<const std::int64_t> counts) const;
  void allgather(std::span<const double> mine, std::span<double> all,
                 std::span<const std::int64_t> counts) const;
  /// send holds world_size pieces in rank order, send_counts[r] elements for rank r; received
  /// likewise.
  void alltoall(std::span<const float> send, std::span<const std::int64_t> send_counts,
                std::span<float> received, std::span<const std::int64_t> receive_counts) const;
  void alltoall(std::span<const double> send, std::span<const std::int64_t> send_counts,
                std::span<double> received, std::span<const std::int64_t> receive_counts) const;
  /// Sum over ranks of `values` (world_size pieces, counts[r] elements for rank r); rank r gets
  /// piece r in `mine`.
  void reduce_scatter_sum(std::span<const float> values, std::span<const std::int64_t> counts,
                          std::span<float> mine) const;
  void reduce_scatter_sum(std::span<const double> values, std::span<const std::int64_t> counts,
                          std::span<double> mine) const;

  /// The number by which BLACS, and so ScaLAPACK, knows these ranks.
  int blacs_handle() const;

  /// Ends every rank at once with `exit_code`.
  [[noreturn]] void abort(int exit_code) const;

 private:
  struct Handle;
  explicit Communicator(std::unique_ptr<Handle> handle);
  std::unique_ptr<Handle> handle_;
  int rank_ = 0;
  int world_size_ = 1;
};

/// Name of this machine.
std::string host_name();

}  // namespace relgrad::mpi
