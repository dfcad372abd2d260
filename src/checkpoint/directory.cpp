#include "checkpoint/directory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdio.h>  // renameat2
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <random>
#include <set>

#include "checkpoint/fault.hpp"
#include "hdf5/file.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/files.hpp"

namespace relgrad::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view step_prefix = "step-";
constexpr std::string_view tmp_prefix = ".tmp-step-";
constexpr std::string_view trash_prefix = ".trash-step-";
constexpr std::string_view aside_prefix = ".aside-step-";

/// Filesystem calls of the library as errors of ours.
template <class Work>
void on_disk(const Work& work) {
  try {
    work();
  } catch (const fs::filesystem_error& error) {
    throw DiskError(fmt::format("{}: {}. Check permission and free space.", error.path1().string(),
                                error.code().message()));
  }
}

std::string unique_id() {
  std::random_device random;
  return fmt::format("{}-{:08x}", ::getpid(), random());
}

std::optional<std::int64_t> number_at(std::string_view text, std::size_t at, char end) {
  std::int64_t number = 0;
  const char* last = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + at, last, number);
  if (error != std::errc{} || number < 0) return std::nullopt;
  const bool ends = end == '\0' ? stop == last : stop != last && *stop == end;
  return ends ? std::optional(number) : std::nullopt;
}

std::string trash_name(std::int64_t step) {
  return fmt::format(".trash-{}-{}", step_name(step), unique_id());
}

/// Renamed first: a removal cut short must not leave half a checkpoint under its name.
void discard(const fs::path& directory, std::int64_t step) {
  const fs::path trash = directory.parent_path() / trash_name(step);
  on_disk([&] {
    fs::rename(directory, trash);
    fault_point("trashed");
    fs::remove_all(trash);
  });
}

/// An old copy set aside gets its name back where the new one never took it; the rest is removed.
void clean_leftovers(const fs::path& checkpoints) {
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator(checkpoints)) {
    const std::string name = entry.path().filename().string();
    const auto aside = step_of_aside(name);
    if (aside && !fs::exists(checkpoints / step_name(*aside))) {
      fs::rename(entry.path(), checkpoints / step_name(*aside));
    } else if (aside || name.starts_with(tmp_prefix) || name.starts_with(trash_prefix)) {
      leftovers.push_back(entry.path());
    }
  }
  for (const fs::path& leftover : leftovers) fs::remove_all(leftover);
}

void check_space(const fs::path& directory, std::uint64_t bytes) {
  struct statvfs status = {};
  if (::statvfs(directory.c_str(), &status) != 0) return;  // the reservation will tell
  const std::uint64_t needed = bytes + bytes / 50 + (std::uint64_t{1} << 20);
  const std::uint64_t free = std::uint64_t{status.f_bavail} * status.f_frsize;
  if (free < needed)
    throw DiskError(
        fmt::format("{}: the checkpoint needs {} MiB, {} MiB are free. Free space or "
                    "keep fewer with --keep-last.",
                    directory.string(), (needed >> 20) + 1, free >> 20));
}

/// The two directories swap names in one step; false where the file system cannot.
bool exchange(const fs::path& one, const fs::path& other) {
  if (::renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE) == 0)
    return true;
  if (errno == EINVAL || errno == ENOSYS || errno == ENOTSUP) return false;
  throw DiskError(fmt::format("{}: cannot take its name: {}", one.string(), std::strerror(errno)));
}

/// Checkpoints up to `step`, newest first.
std::vector<Found> up_to(const fs::path& run_directory, std::int64_t step) {
  std::vector<Found> all = list(run_directory);
  std::erase_if(all, [&](const Found& found) { return found.manifest.at("step") > step; });
  return all;
}

/// Directories that some rule keeps.
std::set<fs::path> kept(const std::vector<Found>& all, const Retention& retention) {
  std::set<fs::path> keep;
  const auto last = static_cast<std::size_t>(std::max(2, retention.keep_last));
  for (std::size_t i = 0; i < std::min(last, all.size()); ++i) keep.insert(all[i].directory);

  std::vector<const Found*> ranked;
  for (const Found& found : all) {
    if (val_bits_per_dim(found)) ranked.push_back(&found);
    const auto ordinal = found.manifest.at("ordinal").get<std::int64_t>();
    if (retention.keep_every > 0 && ordinal % retention.keep_every == 0)
      keep.insert(found.directory);
  }
  std::ranges::stable_sort(ranked, {},
                           [](const Found* found) { return *val_bits_per_dim(*found); });
  const auto best = static_cast<std::size_t>(std::max(0, retention.keep_best));
  for (std::size_t i = 0; i < std::min(best, ranked.size()); ++i) keep.insert(ranked[i]->directory);
  return keep;
}

}  // namespace

fs::path checkpoints_of(const fs::path& run_directory) { return run_directory / "ckpt"; }

std::string step_name(std::int64_t step) { return fmt::format("{}{:09d}", step_prefix, step); }

std::optional<std::int64_t> step_of_name(const std::string& name) {
  if (!name.starts_with(step_prefix)) return std::nullopt;
  return number_at(name, step_prefix.size(), '\0');
}

std::optional<std::int64_t> step_of_aside(const std::string& name) {
  if (!name.starts_with(aside_prefix)) return std::nullopt;
  return number_at(name, aside_prefix.size(), '-');
}

std::optional<double> val_bits_per_dim(const Found& checkpoint) {
  const nlohmann::json& state = checkpoint.manifest.at("state");
  const nlohmann::json::json_pointer place("/metrics/val_bits_per_dim");
  if (!state.contains(place) || !state.at(place).is_number()) return std::nullopt;
  const auto value = state.at(place).get<double>();
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

fs::path prepare_directory(const fs::path& run_directory, std::int64_t step, std::uint64_t bytes) {
  const fs::path checkpoints = checkpoints_of(run_directory);
  const fs::path temporary = checkpoints / fmt::format(".tmp-{}-{}", step_name(step), unique_id());
  on_disk([&] {
    fs::create_directories(checkpoints);
    hdf5::sync_directory(run_directory);
    clean_leftovers(checkpoints);
    check_space(checkpoints, bytes);
    fs::create_directory(temporary);
  });
  return temporary;
}

std::int64_t next_ordinal(const fs::path& run_directory, std::int64_t step) {
  std::int64_t largest = 0;
  for (const Found& found : up_to(run_directory, step - 1)) {
    largest = std::max(largest, found.manifest.at("ordinal").get<std::int64_t>());
  }
  return largest + 1;
}

void write_manifest(const fs::path& temporary, const std::string& text) {
  replace_file(temporary / "manifest.json", text);
}

void commit_directory(const fs::path& run_directory, const fs::path& temporary, std::int64_t step,
                      bool& committed) {
  const fs::path checkpoints = checkpoints_of(run_directory);
  const fs::path target = checkpoints / step_name(step);
  fs::path replaced;
  on_disk([&] {
    if (!fs::exists(target)) {
      fs::rename(temporary, target);
    } else if (exchange(temporary, target)) {
      replaced = temporary;
    } else {
      replaced = checkpoints / fmt::format(".aside-{}-{}", step_name(step), unique_id());
      fs::rename(target, replaced);
      fs::rename(temporary, target);
    }
  });
  committed = true;
  hdf5::sync_directory(checkpoints);
  fault_point("renamed");
  if (!replaced.empty()) discard(replaced, step);
}

void write_latest(const fs::path& run_directory, std::int64_t step) {
  replace_file(run_directory / "LATEST", step_name(step) + "\n");
}

void retain(const fs::path& run_directory, std::int64_t step, const Retention& retention) {
  const std::vector<Found> all = up_to(run_directory, step);
  // Nothing goes unless the newest can be read back.
  if (all.empty() || all.front().manifest.at("step") != step) return;
  const std::set<fs::path> keep = kept(all, retention);
  for (const Found& found : all) {
    if (!keep.contains(found.directory)) {
      discard(found.directory, found.manifest.at("step").get<std::int64_t>());
    }
  }
}

void abandon_directory(const fs::path& temporary) {
  std::error_code ignored;
  if (!temporary.empty()) fs::remove_all(temporary, ignored);
}

}  // namespace relgrad::checkpoint
