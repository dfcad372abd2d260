#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <mutex>

#include "hdf5/file.hpp"
#include "relgrad/core/activity.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/data/dataset.hpp"

namespace relgrad {

namespace {

namespace fs = std::filesystem;

/// A split is kept in memory if it is small: at most 1 GiB, and at most 1/32 of the machine's
/// memory because several ranks share it. A larger one is left to the system's page cache.
bool fits_in_memory(std::uint64_t bytes) {
  const auto pages = static_cast<std::uint64_t>(std::max(0L, ::sysconf(_SC_PHYS_PAGES)));
  const auto page_bytes = static_cast<std::uint64_t>(std::max(0L, ::sysconf(_SC_PAGE_SIZE)));
  return bytes <= std::min(std::uint64_t{1} << 30U, pages * page_bytes / 32);
}

/// @throws DataError naming the shard, what was expected and what was found.
hdf5::RawFile open_shard(const fs::path& path, const ShardInfo& shard) {
  std::error_code error;
  const std::uintmax_t bytes = fs::file_size(path, error);
  if (error) {
    throw DataError(
        fmt::format("{}: shard missing or unreadable: {}; copy it again or prepare the "
                    "data again",
                    path.string(), error.message()));
  }
  if (bytes != shard.bytes) {
    throw DataError(
        fmt::format("{}: shard has {} bytes, dataset.json says {}; copy it again or "
                    "prepare the data again",
                    path.string(), bytes, shard.bytes));
  }
  hdf5::RawFile file(path, hdf5::RawFile::Mode::read);
  const std::string found = shard.ends_checksum.empty() ? "" : hdf5::checksum_of_ends(file);
  if (found != shard.ends_checksum) {
    throw DataError(fmt::format(
        "{}: damaged, or of another data set: the checksum of its ends is {}, dataset.json says "
        "{}; copy it again or prepare the data again",
        path.string(), found, shard.ends_checksum));
  }
  return file;
}

}  // namespace

struct SplitReader::Impl {
  struct Shard {
    hdf5::RawFile file;
    std::uint64_t offset;  // of /samples
    std::uint64_t first;   // global row of its first row
    std::uint64_t rows;
    fs::path path;         // for messages
    std::string checksum;  // of the whole file
  };

  Index dimension = 0;
  ElementType type = ElementType::uint8;
  std::uint64_t rows = 0;
  std::uint64_t row_bytes = 0;
  std::vector<Shard> shards;  // in order of `first`
  bool cached = false;
  std::once_flag cache_once;
  std::vector<std::byte> cache;  // the whole split, once used

  /// Copies rows [begin, end) to `to`, shard after shard.
  void read_files(std::uint64_t begin, std::uint64_t end, std::byte* to) const {
    auto shard = std::upper_bound(shards.begin(), shards.end(), begin,
                                  [](std::uint64_t row, const Shard& s) { return row < s.first; });
    --shard;
    while (begin < end) {
      const std::uint64_t stop = std::min(end, shard->first + shard->rows);
      const std::uint64_t bytes = (stop - begin) * row_bytes;
      shard->file.read_at(shard->offset + (begin - shard->first) * row_bytes, to, bytes);
      to += bytes;
      begin = stop;
      ++shard;
    }
  }

  void read(std::uint64_t begin, std::uint64_t end, std::byte* to) {
    note_activity();
    if (!cached) return read_files(begin, end, to);
    std::call_once(cache_once, [this] { fill_cache(); });
    std::memcpy(to, cache.data() + begin * row_bytes, (end - begin) * row_bytes);
  }

  /// Reads every shard, and compares its checksum.
  void fill_cache() {
    std::vector<std::byte> all(rows * row_bytes);
    for (const Shard& shard : shards) {
      const std::uint64_t bytes = shard.rows * row_bytes;
      std::byte* const to = all.data() + shard.first * row_bytes;
      const std::string found = hdf5::read_and_checksum(shard.file, {shard.offset, bytes}, to);
      if (found != shard.checksum) {
        throw DataError(fmt::format(
            "{}: damaged, or of another data set: its checksum is {}, dataset.json says {}; copy "
            "it again or prepare the data again",
            shard.path.string(), found, shard.checksum));
      }
    }
    cache = std::move(all);
  }

  void shape(RawBatch& batch, std::uint64_t count) const {
    batch.type = type;
    batch.dimension = dimension;
    batch.count = static_cast<Index>(count);
    batch.bytes.resize(count * row_bytes);
    batch.sample_ids.resize(count);
  }

  void check_row(std::uint64_t row, std::uint64_t limit) const {
    if (row < limit) return;
    throw ShapeError(
        fmt::format("SplitReader: row {} of a split of {} rows was asked for", row, rows));
  }
};

SplitReader::SplitReader(const fs::path& directory, const DatasetInfo& info,
                         const std::string& split_name)
    : impl_(std::make_unique<Impl>()) {
  const SplitInfo& split = info.split(split_name);
  impl_->dimension = info.dimension;
  impl_->type = info.type;
  impl_->row_bytes = static_cast<std::uint64_t>(info.dimension) * bytes_of(info.type);
  for (const ShardInfo& shard : split.shards) {
    const fs::path path = directory / shard.file;
    impl_->shards.push_back(
        {open_shard(path, shard), shard.offset, impl_->rows, shard.rows, path, shard.checksum});
    impl_->rows += shard.rows;
  }
  impl_->cached = fits_in_memory(impl_->rows * impl_->row_bytes);
}

SplitReader::~SplitReader() = default;
SplitReader::SplitReader(SplitReader&&) noexcept = default;
SplitReader& SplitReader::operator=(SplitReader&&) noexcept = default;

std::uint64_t SplitReader::rows() const { return impl_->rows; }
Index SplitReader::dimension() const { return impl_->dimension; }
ElementType SplitReader::type() const { return impl_->type; }

void SplitReader::read(const std::vector<std::uint64_t>& rows, RawBatch& batch) const {
  for (const std::uint64_t row : rows) impl_->check_row(row, impl_->rows);
  impl_->shape(batch, rows.size());
  std::copy(rows.begin(), rows.end(), batch.sample_ids.begin());
  std::byte* to = batch.bytes.data();
  for (const std::uint64_t row : rows) {
    impl_->read(row, row + 1, to);
    to += impl_->row_bytes;
  }
}

void SplitReader::read_range(std::uint64_t begin, std::uint64_t end, RawBatch& batch) const {
  if (begin > end) throw ShapeError(fmt::format("SplitReader: range [{}, {})", begin, end));
  if (end > 0) impl_->check_row(end - 1, impl_->rows);
  impl_->shape(batch, end - begin);
  for (std::uint64_t row = begin; row < end; ++row) batch.sample_ids[row - begin] = row;
  if (begin < end) impl_->read(begin, end, batch.bytes.data());
}

}  // namespace relgrad
