#pragma once
/// manifest.json: what a checkpoint holds and how to know that it is all there.
///   {"format_version": 1, "relgrad_version": "0.1.0", "step": 12000, "ordinal": 7, "ranks": 4,
///    "state": {...as passed to save...},
///    "tensors": [{"name": "layer/0/W", "type": "float32", "shape": [rows, cols], "hash":
///    "xxh3:...",
///                 "blocks": [{"file": "shard-0000.h5", "offset": 2048,
///                             "col_begin": 0, "col_end": 784}]}],
///    "files": [{"name": "shard-0000.h5", "bytes": 123, "checksum": "xxh3:..."}],
///    "manifest_checksum": "xxh3:..."}
/// `hash` is of the logical tensor (hash_of_columns); `ordinal` counts the checkpoints of a run.
/// `manifest_checksum` is XXH3-64 of the compact dump, keys sorted, without that key.
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "checkpoint/shard.hpp"

namespace relgrad::checkpoint {

/// What every rank tells about its shard, as text and back; offsets come from the job.
std::string report_of(const ShardJob& job, const ShardWritten& written);

/// @param reports  report_of() of every rank that writes, "" of the others.
nlohmann::json make_manifest(const Plan& plan, const std::vector<std::string>& reports,
                             std::int64_t step, std::int64_t ordinal, const nlohmann::json& state);

/// The text of a manifest with its checksum.
std::string sealed(const nlohmann::json& manifest);

/// @throws CheckpointError if it cannot be read, is of a newer format, or its checksum does not
/// hold.
nlohmann::json read_manifest(const std::filesystem::path& path);

/// The tensor's entry. @throws CheckpointError that names the tensors there are.
const nlohmann::json& tensor_entry(const Found& checkpoint, const std::string& name);

std::string hash_text(std::uint64_t hash);

}  // namespace relgrad::checkpoint
