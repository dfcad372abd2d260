#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "checkpoint/directory.hpp"
#include "checkpoint/manifest.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad::checkpoint {
namespace {

namespace fs = std::filesystem;

/// Directories that may be checkpoints, by step: step-N, else a copy of N that was set aside.
std::map<std::int64_t, fs::path> candidates(const fs::path& checkpoints) {
  std::map<std::int64_t, fs::path> named;
  std::map<std::int64_t, fs::path> aside;
  std::error_code error;
  for (fs::directory_iterator entry(checkpoints, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (const auto step = step_of_name(name)) named.emplace(*step, entry->path());
    if (const auto step = step_of_aside(name)) aside.emplace(*step, entry->path());
  }
  if (error && error != std::errc::no_such_file_or_directory)
    throw CheckpointError(
        fmt::format("{}: cannot be read: {}", checkpoints.string(), error.message()));
  named.merge(aside);
  return named;
}

}  // namespace

Found open(const fs::path& checkpoint_directory) {
  Found found{checkpoint_directory, read_manifest(checkpoint_directory / "manifest.json")};
  for (const nlohmann::json& file : found.manifest.at("files")) {
    const fs::path path = checkpoint_directory / file.at("name").get<std::string>();
    const auto expected = file.at("bytes").get<std::uint64_t>();
    std::error_code error;
    const std::uintmax_t bytes = fs::file_size(path, error);
    if (error) throw CheckpointError(fmt::format("{}: {}", path.string(), error.message()));
    if (bytes != expected)
      throw CheckpointError(
          fmt::format("{}: has {} bytes, the manifest says {}: it was cut or replaced",
                      path.string(), bytes, expected));
  }
  return found;
}

std::vector<Found> list(const fs::path& run_directory, std::vector<std::string>* rejected) {
  std::vector<Found> all;
  for (const auto& [step, path] : candidates(checkpoints_of(run_directory))) {
    try {
      all.push_back(open(path));
    } catch (const CheckpointError& error) {
      // One that a running job removed meanwhile was never a candidate.
      std::error_code ignored;
      const bool is_there = fs::exists(fs::symlink_status(path, ignored));
      if (rejected != nullptr && is_there) rejected->push_back(error.what());
    }
  }
  std::ranges::reverse(all);
  if (rejected != nullptr) std::ranges::reverse(*rejected);
  return all;
}

std::optional<Found> best(const fs::path& run_directory) {
  std::vector<Found> all = list(run_directory);
  std::erase_if(all, [](const Found& found) { return !val_bits_per_dim(found); });
  if (all.empty()) return std::nullopt;
  return *std::ranges::min_element(all, {},
                                   [](const Found& found) { return *val_bits_per_dim(found); });
}

}  // namespace relgrad::checkpoint
