#include "checkpoint/shard.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>
#include <thread>

#include "checkpoint/fault.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad::checkpoint {
namespace {

constexpr std::uint64_t largest_write = std::uint64_t{8} << 20;

class RunningChecksum {
 public:
  RunningChecksum() : state_(XXH3_createState(), &XXH3_freeState) {
    XXH3_64bits_reset(state_.get());
  }
  void update(const void* data, std::uint64_t bytes) {
    XXH3_64bits_update(state_.get(), data, bytes);
  }
  std::string text() const { return fmt::format("xxh3:{:016x}", XXH3_64bits_digest(state_.get())); }

 private:
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state_;
};

/// Another machine made the directory a moment ago; NFS may show it late.
void wait_for_directory(const std::filesystem::path& directory) {
  for (int attempt = 0; attempt < 10; ++attempt) {
    if (std::error_code error; std::filesystem::is_directory(directory, error)) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }
  throw DiskError(directory.string() +
                  ": rank 0 made it, but it is not visible here after 5 s. Put --run on a file "
                  "system that all nodes share.");
}

hdf5::DatasetPlan dataset_plan(const Tensor& tensor, const PlannedBlock& block) {
  hdf5::DatasetPlan plan;
  plan.name = "/" + tensor.name;
  plan.type = file_type(tensor.type);
  plan.shape = {static_cast<std::uint64_t>(block.col_end - block.col_begin),
                static_cast<std::uint64_t>(tensor.rows)};
  plan.attributes.integers["global_shape"] = {tensor.rows, tensor.cols};
  plan.attributes.integers["columns"] = {block.col_begin, block.col_end};
  plan.attributes.texts["layout"] = "one column of the matrix per row of the dataset";
  return plan;
}

const ConstBlock& block_of(const std::vector<ConstBlock>& held, const std::string& name) {
  const auto found = std::ranges::find(held, name, &ConstBlock::name);
  if (found == held.end()) throw ShapeError("checkpoint: this rank does not hold " + name);
  return *found;
}

/// The structure that HDF5 wrote between the pieces, so that the checksum is one of the whole file.
void add_gap(const hdf5::RawFile& file, std::uint64_t begin, std::uint64_t end,
             RunningChecksum& checksum) {
  std::vector<std::byte> gap(std::min(end - begin, largest_write));
  for (std::uint64_t at = begin; at < end; at += gap.size()) {
    const std::uint64_t bytes = std::min<std::uint64_t>(gap.size(), end - at);
    file.read_at(at, gap.data(), bytes);
    checksum.update(gap.data(), bytes);
  }
}

void write_piece(const hdf5::RawFile& file, const Piece& piece, RunningChecksum& checksum) {
  for (std::uint64_t done = 0; done < piece.bytes(); done += largest_write) {
    const std::uint64_t bytes = std::min(largest_write, piece.bytes() - done);
    file.write_at(piece.offset + done, piece.data + done, bytes);
    checksum.update(piece.data + done, bytes);
  }
}

}  // namespace

std::uint64_t Piece::bytes() const {
  return column_bytes * static_cast<std::uint64_t>(block.col_end - block.col_begin);
}

std::uint64_t hash_of_columns(const void* data, std::uint64_t column_bytes, Index col_begin,
                              Index col_end) {
  const auto* column = static_cast<const std::byte*>(data);
  std::uint64_t sum = 0;
  for (Index j = col_begin; j < col_end; ++j, column += column_bytes) {
    sum += XXH3_64bits_withSeed(column, column_bytes, static_cast<XXH64_hash_t>(j));
  }
  return sum;
}

ShardJob create_shard(const std::filesystem::path& path, const Plan& plan,
                      std::span<const PlannedBlock> planned, const std::vector<ConstBlock>& held) {
  wait_for_directory(path.parent_path());
  std::vector<hdf5::DatasetPlan> datasets;
  for (const PlannedBlock& block : planned) {
    datasets.push_back(dataset_plan(plan.tensors[block.tensor], block));
  }
  const std::vector<hdf5::Place> places = hdf5::create(path, datasets);
  const hdf5::RawFile file(path, hdf5::RawFile::Mode::write);
  file.reserve(file.size());

  ShardJob job{path, {}};
  for (std::size_t i = 0; i < planned.size(); ++i) {
    const Tensor& tensor = plan.tensors[planned[i].tensor];
    const ConstBlock& block = block_of(held, tensor.name);
    const auto columns_before = static_cast<std::uint64_t>(planned[i].col_begin - block.col_begin);
    job.pieces.push_back(
        {planned[i], places[i].offset, tensor.column_bytes(),
         static_cast<const std::byte*>(block.data) + columns_before * tensor.column_bytes()});
  }
  return job;
}

ShardWritten write_shard(const ShardJob& job) {
  std::vector<const Piece*> by_offset;
  for (const Piece& piece : job.pieces) by_offset.push_back(&piece);
  std::ranges::sort(by_offset, {}, &Piece::offset);

  const hdf5::RawFile file(job.path, hdf5::RawFile::Mode::write);
  ShardWritten written;
  written.bytes = file.size();
  RunningChecksum checksum;
  std::uint64_t done = 0;
  for (const Piece* piece : by_offset) {
    if (piece->bytes() == 0) continue;
    add_gap(file, done, piece->offset, checksum);
    write_piece(file, *piece, checksum);
    done = piece->offset + piece->bytes();
  }
  add_gap(file, done, written.bytes, checksum);
  written.checksum = checksum.text();
  for (const Piece& piece : job.pieces) {
    written.hashes.push_back(hash_of_columns(piece.data, piece.column_bytes, piece.block.col_begin,
                                             piece.block.col_end));
  }
  fault_point("written");
  file.sync();
  hdf5::sync_directory(job.path.parent_path());
  fault_point("synced");
  return written;
}

}  // namespace relgrad::checkpoint
