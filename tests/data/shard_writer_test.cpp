#include "data/shard_writer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/sample_files.hpp"
#include "support/temporary_directory.hpp"

namespace relgrad {
namespace {

using test::pattern_bytes;
using testing::ElementsAre;

/// The bytes of one dataset of a shard.
std::string content(const std::filesystem::path& shard, const std::string& name) {
  const hdf5::Place place = hdf5::contents(shard).at(name).place;
  std::string bytes(place.bytes, '\0');
  hdf5::RawFile(shard, hdf5::RawFile::Mode::read).read_at(place.offset, bytes.data(), place.bytes);
  return bytes;
}

TEST(ShardWriter, WritesTheSameShardsInPiecesOfAnySize) {
  const std::string samples = pattern_bytes(11 * 3);
  const std::vector<std::int64_t> labels{0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100};
  std::vector<std::string> hashes;

  for (const std::uint64_t piece : {1U, 2U, 3U, 11U}) {
    const test::TemporaryDirectory directory;
    ShardWriter writer(directory.path(), {"val", 11, 4, {3}, ElementType::uint8, true});
    for (std::uint64_t row = 0; row < 11; row += piece) {
      writer.write(reinterpret_cast<const std::byte*>(samples.data()) + 3 * row,
                   labels.data() + row, nullptr, std::min(piece, writer.left()));
    }

    const SplitInfo info = writer.finish();
    std::string read_samples;
    std::string read_labels;
    for (const ShardInfo& shard : info.shards) {
      read_samples += content(directory.path() / shard.file, "/samples");
      read_labels += content(directory.path() / shard.file, "/labels");
    }
    EXPECT_EQ(info.rows, 11U);
    EXPECT_EQ(info.shards.size(), 3U);
    EXPECT_EQ(info.shards.back().rows, 3U);
    EXPECT_EQ(read_samples, samples);
    EXPECT_EQ(read_labels, test::raw(labels));
    hashes.push_back(writer.content_hash());
  }
  EXPECT_THAT(hashes, testing::Each(hashes.front()));
}

TEST(ShardWriter, RefusesTooManyRowsAndTooFew) {
  const test::TemporaryDirectory directory;
  const std::string samples = pattern_bytes(9);
  const auto* bytes = reinterpret_cast<const std::byte*>(samples.data());
  ShardWriter writer(directory.path(), {"val", 2, 4, {3}, ElementType::uint8, false});

  EXPECT_THROW(writer.finish(), ShapeError);
  EXPECT_THROW(writer.write(bytes, nullptr, nullptr, 3), ShapeError);
}

}  // namespace
}  // namespace relgrad
