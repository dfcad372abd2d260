#pragma once
/// What `relgrad score`, `encode` and `sample` write: one HDF5 file, made by root of the rows that
/// the ranks compute.
#include <filesystem>
#include <functional>
#include <span>
#include <vector>

#include "hdf5/file.hpp"
#include "relgrad/core/files.hpp"
#include "relgrad/core/partition.hpp"
#include "relgrad/core/types.hpp"
#include "relgrad/mpi/communicator.hpp"

namespace relgrad {

/// Hands rows to root, some at a time. Root needs memory for the rows of one rank, or for 64 MiB of
/// several.
class RowsToRoot {
 public:
  /// @param columns  numbers per row
  RowsToRoot(const mpi::Communicator& comm, Index columns) : comm_(&comm), columns_(columns) {}
  /// Receives rows first_row, first_row + 1, ..., one after another.
  using Take = std::function<void(std::int64_t first_row, std::span<const float> values)>;
  /// Collective. @param rows  rank r brings rows[r], which may be empty. @param mine  this rank's.
  /// Calls `take` on root, rank by rank. @throws Error on every rank if `take` does.
  void hand_over(const std::vector<Range>& rows, std::span<const float> mine, const Take& take);

 private:
  const mpi::Communicator* comm_;
  Index columns_;
  std::vector<float> received_;
};

/// An HDF5 file that has its name only when it is complete.
class ScoreFile {
 public:
  /// Takes the disk space of all datasets. @param option  that named it.
  /// @throws UsageError if `output` exists, DiskError.
  ScoreFile(const std::filesystem::path& output, std::string_view option,
            const std::vector<hdf5::DatasetPlan>& plans);
  ~ScoreFile();
  ScoreFile(const ScoreFile&) = delete;
  ScoreFile& operator=(const ScoreFile&) = delete;
  /// Bytes of dataset number `dataset`, from `offset` on. @throws DiskError.
  void write(std::size_t dataset, std::uint64_t offset, const void* from,
             std::uint64_t bytes) const;
  /// Without it nothing is left.
  void commit();

 private:
  NewFile file_;
  std::vector<hdf5::Place> places_;
};

}  // namespace relgrad
