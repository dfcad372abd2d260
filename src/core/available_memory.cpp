#include "core/available_memory.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

namespace relgrad {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

/// The number after `key` in a file of "key number" lines.
std::optional<std::uint64_t> value_of(const fs::path& path, const std::string& key) {
  std::ifstream file(path);
  std::string word;
  std::uint64_t value = 0;
  while (file >> word) {
    if (word == key && file >> value) return value;
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return std::nullopt;
}

std::optional<std::uint64_t> number_in(const fs::path& path) {
  std::ifstream file(path);
  std::uint64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;  // no file, or "max"
}

/// What a control group leaves: limit - used + file pages that can be dropped.
std::uint64_t left_in(const fs::path& group, const char* limit_file, const char* used_file,
                      const char* file_pages) {
  const auto limit = number_in(group / limit_file);
  const auto used = number_in(group / used_file);
  if (!limit || !used) return unlimited;
  const std::uint64_t held =
      *used - std::min(*used, value_of(group / "memory.stat", file_pages).value_or(0));
  return *limit - std::min(*limit, held);
}

/// A group's limit holds for all groups below it.
std::uint64_t left_in_groups(const fs::path& mount, const std::string& path, bool is_version_2) {
  std::uint64_t left = unlimited;
  for (fs::path group = fs::path(path).relative_path();; group = group.parent_path()) {
    left = std::min(
        left, is_version_2 ? left_in(mount / group, "memory.max", "memory.current", "inactive_file")
                           : left_in(mount / group, "memory.limit_in_bytes",
                                     "memory.usage_in_bytes", "total_inactive_file"));
    if (group.empty()) return left;
  }
}

}  // namespace

std::uint64_t available_memory(const fs::path& root) {
  std::uint64_t available = unlimited;
  if (const auto kib = value_of(root / "proc/meminfo", "MemAvailable:")) available = *kib * 1024;
  std::ifstream groups(root / "proc/self/cgroup");  // "number:controllers:path"
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      available = std::min(available, left_in_groups(root / "sys/fs/cgroup", path, true));
    } else if (controllers == "memory") {
      available = std::min(available, left_in_groups(root / "sys/fs/cgroup/memory", path, false));
    }
  }
  return available;
}

std::uint64_t peak_memory() {
  struct rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024U;
}

}  // namespace relgrad
