#pragma once
/// One writer's file, in two steps: create_shard plans the bytes with HDF5, write_shard moves them
/// without HDF5 or MPI and may therefore run on any thread, from a copy of the tensors.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/plan.hpp"

namespace relgrad::checkpoint {

/// Columns of a tensor and where they go in the file.
struct Piece {
  PlannedBlock block;
  std::uint64_t offset = 0;        // in the file
  std::uint64_t column_bytes = 0;  // of one column
  const std::byte* data = nullptr;

  std::uint64_t bytes() const;
};

struct ShardJob {
  std::filesystem::path path;
  std::vector<Piece> pieces;
};

struct ShardWritten {
  std::uint64_t bytes = 0;            // of the file
  std::string checksum;               // of the file
  std::vector<std::uint64_t> hashes;  // of the pieces, in the order of the job
};

/// Sum over columns j of XXH3-64(bytes of column j, seed j), mod 2^64: whatever the partition into
/// blocks, the sum over the blocks is the hash of the tensor.
std::uint64_t hash_of_columns(const void* data, std::uint64_t column_bytes, Index col_begin,
                              Index col_end);

/// Makes the file with its structure and reserves its space. @throws DiskError
ShardJob create_shard(const std::filesystem::path& path, const Plan& plan,
                      std::span<const PlannedBlock> planned, const std::vector<ConstBlock>& held);

/// Writes the pieces, hands them to the disk (fsync) and returns what the manifest needs. The
/// checksum is of the bytes meant to be written, not of bytes read back. @throws DiskError
ShardWritten write_shard(const ShardJob& job);

}  // namespace relgrad::checkpoint
