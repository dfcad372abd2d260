#pragma once
/// What `relgrad score` and `sample` write: one HDF5 file, made by root when every rank's part is
/// there.
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

/// Latent vectors of the samples of a split, as far as this rank has computed them.
class LatentValues {
 public:
  LatentValues(std::uint64_t rows, Index dimension)
      : rows_(static_cast<std::int64_t>(rows)), dimension_(dimension) {}
  /// z is |coordinates| x |rows|. Over all ranks, every coordinate of every row is added once.
  void add(Range rows, Range coordinates, Matrix<float> z);
  /// Receives rows [first_row, first_row + size / D), row by row.
  using Take = std::function<void(std::uint64_t first_row, std::span<const float> values)>;
  /// Collective. Puts the ranks' parts together, some rows at a time, and gives them to `take` on
  /// every rank. @throws Error on every rank if `take` does on one.
  void gather(const mpi::Communicator& comm, const Take& take) const;

 private:
  struct Block {
    Range rows;
    Range coordinates;
    Matrix<float> z;
  };
  std::int64_t rows_;
  Index dimension_;
  std::vector<Block> blocks_;
};

/// An HDF5 file that has its name only when it is complete.
class ScoreFile {
 public:
  /// @param option  that named it. @throws UsageError if `output` exists, DiskError.
  ScoreFile(const std::filesystem::path& output, std::string_view option,
            const std::vector<hdf5::DatasetPlan>& plans);
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
