#include "data/shard_writer.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "data/dataset_json.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

/// A running XXH3-64.
struct ShardWriter::Hash {
  Hash() { XXH3_64bits_reset(state_.get()); }
  void add(const void* bytes, std::uint64_t count) {
    XXH3_64bits_update(state_.get(), bytes, count);
  }
  std::uint64_t value() const { return XXH3_64bits_digest(state_.get()); }

 private:
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state_{XXH3_createState(),
                                                                  &XXH3_freeState};
};

ShardWriter::ShardWriter(const std::filesystem::path& directory, const SplitLayout& layout)
    : directory_(directory),
      layout_(layout),
      samples_hash_(std::make_unique<Hash>()),
      labels_hash_(std::make_unique<Hash>()) {
  dimension_ = static_cast<std::uint64_t>(std::accumulate(
      layout.sample_shape.begin(), layout.sample_shape.end(), Index{1}, std::multiplies<>()));
  row_bytes_ = dimension_ * bytes_of(layout.type);
  shards_ = (layout.rows + layout.rows_per_shard - 1) / layout.rows_per_shard;
  info_.name = layout.name;
}

ShardWriter::~ShardWriter() = default;

std::string ShardWriter::content_hash() const {
  return fmt::format("{:016x} {:016x}", samples_hash_->value(), labels_hash_->value());
}

void ShardWriter::begin_shard() {
  const std::uint64_t number = info_.shards.size();
  ShardInfo shard;
  shard.file = shard_file_name(layout_.name, number, shards_);
  shard.rows = std::min(layout_.rows_per_shard, layout_.rows - done_);
  hdf5::DatasetPlan samples;
  samples.name = "/samples";
  samples.type = layout_.type == ElementType::uint8 ? hdf5::Type::uint8 : hdf5::Type::float32;
  samples.shape = {shard.rows, dimension_};
  samples.attributes.integers["sample_shape"].assign(layout_.sample_shape.begin(),
                                                     layout_.sample_shape.end());
  samples.attributes.integers["first_row"] = {static_cast<std::int64_t>(done_)};
  std::vector<hdf5::DatasetPlan> plans{samples};
  if (layout_.has_labels) plans.push_back({"/labels", hdf5::Type::int64, {shard.rows}, {}});
  if (layout_.has_sources) {
    plans.push_back({"/sources", hdf5::Type::float32, {shard.rows, dimension_}, {}});
  }
  const std::filesystem::path path = directory_ / shard.file;
  places_ = hdf5::create(path, plans);
  file_.emplace(path, hdf5::RawFile::Mode::write);
  shard.bytes = file_->size();
  shard.offset = places_[0].offset;
  file_->reserve(shard.bytes);  // a full disk is told before the work
  info_.shards.push_back(shard);
  done_in_shard_ = 0;
}

void ShardWriter::end_shard() {
  file_->sync();
  file_.reset();
  ShardInfo& shard = info_.shards.back();
  shard.checksum = hdf5::checksum_of_file(directory_ / shard.file);
  shard.ends_checksum =
      hdf5::checksum_of_ends(hdf5::RawFile(directory_ / shard.file, hdf5::RawFile::Mode::read));
}

void ShardWriter::write(const std::byte* samples, const std::int64_t* labels, const float* sources,
                        std::uint64_t count) {
  if (count > left()) {
    check_size("ShardWriter", "rows", static_cast<std::int64_t>(done_ + count),
               static_cast<std::int64_t>(layout_.rows));
  }
  samples_hash_->add(samples, count * row_bytes_);
  if (layout_.has_labels) labels_hash_->add(labels, count * sizeof(std::int64_t));
  while (count > 0) {
    if (!file_) begin_shard();
    const std::uint64_t part = std::min(count, info_.shards.back().rows - done_in_shard_);
    file_->write_at(places_[0].offset + done_in_shard_ * row_bytes_, samples, part * row_bytes_);
    samples += part * row_bytes_;
    if (layout_.has_labels) {
      file_->write_at(places_[1].offset + done_in_shard_ * sizeof(std::int64_t), labels,
                      part * sizeof(std::int64_t));
      labels += part;
    }
    if (layout_.has_sources) {
      const std::uint64_t source_bytes = dimension_ * sizeof(float);
      file_->write_at(places_.back().offset + done_in_shard_ * source_bytes, sources,
                      part * source_bytes);
      sources += part * dimension_;
    }
    count -= part;
    done_ += part;
    info_.rows = done_;
    done_in_shard_ += part;
    if (done_in_shard_ == info_.shards.back().rows) end_shard();
  }
}

const SplitInfo& ShardWriter::finish() const {
  check_size("ShardWriter", "rows", static_cast<std::int64_t>(done_),
             static_cast<std::int64_t>(layout_.rows));
  return info_;
}

}  // namespace relgrad
