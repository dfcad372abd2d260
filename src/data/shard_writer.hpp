#pragma once
/// Writes the rows of one split, one after another, as shards.
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hdf5/file.hpp"
#include "relgrad/data/dataset.hpp"

namespace relgrad {

struct SplitLayout {
  std::string name;
  std::uint64_t rows = 0;
  std::uint64_t rows_per_shard = 0;
  std::vector<Index> sample_shape;
  ElementType type = ElementType::uint8;
  bool has_labels = false;
  bool has_sources = false;
};

class ShardWriter {
 public:
  ShardWriter(const std::filesystem::path& directory, const SplitLayout& layout);
  ~ShardWriter();
  ShardWriter(const ShardWriter&) = delete;
  ShardWriter& operator=(const ShardWriter&) = delete;
  /// Rows there are still to come.
  std::uint64_t left() const { return layout_.rows - done_; }
  /// Appends `count` rows; `labels` and `sources`, D a row, only if the split has them.
  /// @throws DiskError.
  void write(const std::byte* samples, const std::int64_t* labels, const float* sources,
             std::uint64_t count);
  /// The split as it lies on disk, synced; all rows must have been written.
  const SplitInfo& finish() const;
  /// Hash over the samples and labels written so far, whatever the shards.
  std::string content_hash() const;

 private:
  void begin_shard();
  void end_shard();

  std::filesystem::path directory_;
  SplitLayout layout_;
  std::uint64_t dimension_;
  std::uint64_t row_bytes_;
  std::uint64_t shards_;
  std::uint64_t done_ = 0;
  std::uint64_t done_in_shard_ = 0;
  std::optional<hdf5::RawFile> file_;  // of the shard under way, which is info_.shards.back()
  std::vector<hdf5::Place> places_;    // /samples, /labels, /sources: those the split has
  SplitInfo info_;
  struct Hash;
  std::unique_ptr<Hash> samples_hash_;
  std::unique_ptr<Hash> labels_hash_;
};

}  // namespace relgrad
