#pragma once
/// A prepared data set: dataset.json and HDF5 shards, read by any rank without MPI.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "relgrad/data/raw_batch.hpp"

namespace relgrad {

inline constexpr int dataset_format_version = 1;

struct ShardInfo {
  std::string file;  // relative to the data set's directory
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;    // size of the file
  std::uint64_t offset = 0;   // of /samples in the file
  std::string checksum;       // "xxh3:0123456789abcdef" of the whole file
  std::string ends_checksum;  // of its first and last 64 KiB, compared whenever it is opened; "" in
                              // data sets of version 0.1
};

struct SplitInfo {
  std::string name;  // "train", "val", "test"
  std::uint64_t rows = 0;
  std::vector<ShardInfo> shards;
};

struct DatasetInfo {
  std::string name;
  Index dimension = 0;
  std::vector<Index> sample_shape;  // {C, H, W}, or {D}
  ElementType type = ElementType::uint8;
  double value_min = 0.0;  // over all splits
  double value_max = 0.0;
  std::optional<double> true_entropy_nats;  // of synthetic flow data: entropy of one sample
  std::vector<SplitInfo> splits;
  std::vector<std::string> class_names;  // of the labels 0, 1, ...; empty: not known
  // Rows of each class of the training split; empty: nobody has counted them (data/labels.hpp).
  std::vector<std::uint64_t> class_rows;
  std::string
      identity;  // hash over shapes and contents, whatever the shards: "is this the same data?"
  bool is_image() const { return sample_shape.size() == 3; }
  /// @throws DataError listing the splits that exist.
  const SplitInfo& split(const std::string& name) const;
  bool has_split(const std::string& name) const;
};

/// Reads and checks dataset.json (its own checksum, version, shapes, rows, names of files).
/// @throws DataError on a missing or damaged file or a newer format version.
DatasetInfo read_dataset_info(const std::filesystem::path& directory);

/// One split, open for reading. Reading a sample is one pread at the byte offset of /samples, which
/// dataset.json knows. There is no HDF5 call, so a prefetch thread may read. A small split is read
/// into memory when it is first used, and its checksums are compared then.
class SplitReader {
 public:
  /// Opens every shard; its size and the checksum of its ends must be those of dataset.json.
  /// @throws DataError naming the shard that is missing, cut or of another data set.
  SplitReader(const std::filesystem::path& directory, const DatasetInfo& info,
              const std::string& split);
  ~SplitReader();
  SplitReader(SplitReader&&) noexcept;
  SplitReader& operator=(SplitReader&&) noexcept;

  std::uint64_t rows() const;
  Index dimension() const;
  ElementType type() const;
  /// Fills `batch` with the samples of these global rows, in this order.
  void read(const std::vector<std::uint64_t>& rows, RawBatch& batch) const;
  /// Fills `batch` with the rows [begin, end).
  void read_range(std::uint64_t begin, std::uint64_t end, RawBatch& batch) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Reads every shard of every split again and compares checksums. @throws DataError naming the
/// file.
void verify_dataset(const std::filesystem::path& directory, const DatasetInfo& info);

}  // namespace relgrad
