#pragma once
/// dataset.json: what is written, read and hashed.
#include <filesystem>
#include <string>
#include <vector>

#include "relgrad/data/dataset.hpp"

namespace relgrad {

inline constexpr const char* dataset_file_name = "dataset.json";

/// How a data set came to be; for people, never compared.
struct CreationRecord {
  std::string command;
  std::vector<std::string> sources;
  std::string time;  // UTC, ISO 8601
};

/// "train-00000-of-00004.h5"
std::string shard_file_name(const std::string& split, std::uint64_t shard, std::uint64_t shards);

/// Hash over element type, sample shape, and every split's name, rows and content: the same for the
/// same samples in the same order, however they are cut into shards.
/// @param content_hashes  one per split, over its samples and labels
std::string identity_of(const DatasetInfo& info, const std::vector<std::string>& content_hashes);

/// Writes and fsyncs a new file. @throws DiskError.
void write_text_file(const std::filesystem::path& path, const std::string& text);

/// Writes and fsyncs DIRECTORY/dataset.json, which ends in a checksum of itself. @throws DiskError.
void write_dataset_info(const std::filesystem::path& directory, const DatasetInfo& info,
                        const CreationRecord& created);

}  // namespace relgrad
