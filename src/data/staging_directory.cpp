#include "data/staging_directory.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <string>
#include <vector>

#include "hdf5/file.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"

namespace relgrad {

namespace fs = std::filesystem;

namespace {

/// ".NAME.partial-HOST-"; a process number follows.
std::string staging_prefix(const fs::path& output) {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return fmt::format(".{}.partial-{}-", output.filename().string(), host.data());
}

bool is_alive(const std::string& process) {
  pid_t id = 0;
  const auto [end, error] = std::from_chars(process.data(), process.data() + process.size(), id);
  if (error != std::errc() || end != process.data() + process.size() || id <= 0) return true;
  if (id == ::getpid()) return false;  // of an earlier process with our number, as in containers
  return ::kill(id, 0) == 0 || errno != ESRCH;
}

void remove_stale(const fs::path& parent, const std::string& prefix) {
  std::vector<fs::path> stale;
  for (const fs::directory_entry& entry : fs::directory_iterator(parent)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(prefix) && !is_alive(name.substr(prefix.size()))) {
      stale.push_back(entry.path());
    }
  }
  for (const fs::path& path : stale) {
    log_info(fmt::format("removing {}, left by a run that was killed", path.string()));
    fs::remove_all(path);
  }
}

}  // namespace

void check_absent(const fs::path& output) {
  if (!fs::exists(fs::symlink_status(output))) return;
  throw UsageError(fmt::format("--output {}: exists already; remove it or choose another name",
                               output.string()));
}

StagingDirectory::StagingDirectory(const fs::path& output) {
  try {
    // "data/" and "data" are the same directory.
    output_ = fs::absolute(output).lexically_normal();
    if (output_.filename().empty()) output_ = output_.parent_path();
    check_absent(output_);
    fs::create_directories(output_.parent_path());
    const std::string prefix = staging_prefix(output_);
    remove_stale(output_.parent_path(), prefix);
    const fs::path staging = output_.parent_path() / (prefix + std::to_string(::getpid()));
    if (!fs::create_directory(staging)) {  // not ours: what is in it is of no concern
      throw DiskError(fmt::format("--output {}: {} is in the way; remove it", output.string(),
                                  staging.string()));
    }
    staging_ = staging;
  } catch (const fs::filesystem_error& error) {
    throw DiskError(fmt::format("--output {}: cannot write there: {}", output.string(),
                                error.code().message()));
  }
}

StagingDirectory::~StagingDirectory() {
  std::error_code ignored;  // the error under way matters more
  if (!committed_) fs::remove_all(staging_, ignored);
}

void StagingDirectory::commit() {
  hdf5::sync_directory(staging_);
  check_absent(output_);
  std::error_code error;
  fs::rename(staging_, output_, error);
  if (error) {
    throw DiskError(fmt::format("{}: cannot rename {} to it: {}", output_.string(),
                                staging_.string(), error.message()));
  }
  committed_ = true;
  hdf5::sync_directory(output_.parent_path());
}

}  // namespace relgrad
