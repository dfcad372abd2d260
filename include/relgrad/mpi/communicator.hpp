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
