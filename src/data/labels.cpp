#include "data/labels.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "hdf5/file.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

namespace fs = std::filesystem;

Label label_of(std::int64_t stored, const fs::path& path) {
  if (stored < 0) return no_label;
  if (stored > std::numeric_limits<Label>::max()) {
    throw DataError(fmt::format("{}: label {} is beyond 2^31; number the classes 0, 1, ...",
                                path.string(), stored));
  }
  return static_cast<Label>(stored);
}

}  // namespace

std::vector<Label> read_labels(const fs::path& directory, const DatasetInfo& info,
                               const std::string& split) {
  std::vector<Label> labels;
  labels.reserve(info.split(split).rows);
  for (const ShardInfo& shard : info.split(split).shards) {
    const fs::path path = directory / shard.file;
    const auto contents = hdf5::contents(path);
    const auto found = contents.find("/labels");
    if (found == contents.end()) return {};
    if (found->second.type != hdf5::Type::int64 ||
        found->second.shape != std::vector<std::uint64_t>{shard.rows}) {
      throw DataError(
          fmt::format("{}: /labels are not {} numbers of type int64; prepare the data "
                      "again",
                      path.string(), shard.rows));
    }
    std::vector<std::int64_t> stored(shard.rows);
    hdf5::RawFile(path, hdf5::RawFile::Mode::read)
        .read_at(found->second.place.offset, stored.data(), found->second.place.bytes);
    for (const std::int64_t label : stored) labels.push_back(label_of(label, path));
  }
  return labels;
}

std::vector<std::uint64_t> count_classes(const fs::path& directory, std::span<const Label> labels) {
  const Label most = labels.empty() ? no_label : *std::ranges::max_element(labels);
  if (most == no_label) {
    throw DataError(
        fmt::format("{}: the training split has no labels; give relgrad prepare "
                    "--labels or --class-folders, or leave --conditional out",
                    directory.string()));
  }
  constexpr Label most_classes = 1 << 16;
  if (most == 0 || most >= most_classes) {
    throw DataError(
        fmt::format("{}: the largest label of the training split is {}; --conditional "
                    "is for 2 ... {} classes, numbered from 0",
                    directory.string(), most, most_classes));
  }
  std::vector<std::uint64_t> counts(static_cast<std::size_t>(most) + 1);
  for (const Label label : labels) {
    if (label != no_label) ++counts[static_cast<std::size_t>(label)];
  }
  const auto empty = std::ranges::find(counts, std::uint64_t{0});
  if (empty != counts.end()) {
    throw DataError(
        fmt::format("{}: labels of the training split go to {}, but no sample has label {}; number "
                    "the classes 0, 1, ... without gaps",
                    directory.string(), most, empty - counts.begin()));
  }
  return counts;
}

}  // namespace relgrad
