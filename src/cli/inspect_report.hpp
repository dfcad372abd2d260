#pragma once
/// What lies at a path, as a report: keys with values, tables (arrays of objects) and groups
/// (objects).
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace relgrad::cli {

using Report = nlohmann::ordered_json;

struct Inspection {
  Report report;
  std::vector<std::string> problems;  // that --verify found in a checkpoint, one line each
};

/// A data set, a checkpoint, a run directory or an HDF5 file. With `verify` every checksum is
/// compared. @throws DataError if nothing is there, or nothing that relgrad knows, or a data set is
/// damaged; CheckpointError if a checkpoint's manifest is.
Inspection inspect(const std::filesystem::path& path, bool verify);

/// The report in words: aligned keys, tables with headings.
std::string in_words(const Report& report);

}  // namespace relgrad::cli
