#include "run/run_directory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <sstream>
#include <vector>

#include "relgrad/core/error.hpp"
#include "relgrad/core/files.hpp"
#include "relgrad/core/json.hpp"
#include "relgrad/core/log.hpp"
#include "run/resume.hpp"

namespace relgrad {

namespace fs = std::filesystem;

namespace {

/// Something other than an empty file or folder has this name.
bool holds_something(const fs::path& path) {
  std::error_code ignored;
  const fs::file_status status = fs::symlink_status(path, ignored);
  if (!fs::exists(status)) return false;
  if (!fs::is_regular_file(status) && !fs::is_directory(status)) return true;
  return !fs::is_empty(path, ignored);
}

/// STATUS is as RunDirectory writes it: all that a run leaves whose config.ini could not be
/// written.
bool is_status_of_run(const fs::path& status) {
  std::error_code error;
  if (!fs::is_regular_file(status, error)) return false;
  const std::string text = read_file(status);
  return text.starts_with('{') && text.find("\"state\"") != std::string::npos &&
         text.find("\"exit_code\"") != std::string::npos;
}

/// config.ini is a run's, or checkpoints lie in ckpt.
bool holds_run(const fs::path& run) {
  std::error_code error;
  if (fs::is_regular_file(run / "config.ini", error) &&
      read_file(run / "config.ini").starts_with(config_heading)) {
    return true;
  }
  for (fs::directory_iterator entry(run / "ckpt", error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().filename().string().find("step-") != std::string::npos) return true;
  }
  return false;
}

/// The first file that a run would write over although it is of something else; empty if none is.
fs::path foreign_file(const fs::path& run) {
  if (holds_run(run) || is_status_of_run(run / "STATUS")) return {};
  for (const char* name : {"config.ini", "ckpt", "metrics.jsonl", "samples", "STATUS", "LATEST"}) {
    if (holds_something(run / name)) return run / name;
  }
  std::error_code error;
  const fs::path lock = run / "LOCK";
  const fs::file_status status = fs::symlink_status(lock, error);
  if (!fs::exists(status) || fs::is_directory(status)) return {};  // the latter: RunLock tells
  // As RunLock writes it, perhaps cut by a full disk.
  const bool is_lock = fs::is_regular_file(status) &&
                       (!holds_something(lock) || read_file(lock).starts_with("{\"host\""));
  return is_lock ? fs::path() : lock;
}

/// @throws UsageError: a run that is not to be continued, or files of something else.
void refuse_what_is_there(const fs::path& run, bool may_exist) {
  if (!may_exist && (holds_something(run / "config.ini") || holds_run(run))) {
    throw UsageError(fmt::format(
        "--run: {} already holds a run; continue it with --resume auto, or name another directory",
        run.string()));
  }
  if (const fs::path foreign = foreign_file(run); !foreign.empty()) {
    throw UsageError(
        fmt::format("--run: {} is of no run of relgrad and would be written over; name another "
                    "directory",
                    foreign.string()));
  }
}

[[noreturn]] void cannot_write(const fs::path& run, const std::string& reason) {
  throw DiskError(fmt::format("--run: cannot write to {}: {}; name a directory you may write to",
                              run.string(), reason));
}

/// @throws UsageError
void refuse_stop(const fs::path& run) {
  std::error_code error;
  if (!fs::exists(run / "STOP", error)) return;
  throw UsageError(fmt::format("--run: {} asks this run to stay stopped; remove it to go on",
                               (run / "STOP").string()));
}

/// What replace_file leaves when it is killed.
void remove_leftovers(const fs::path& run) {
  std::vector<fs::path> leftovers;
  std::error_code error;
  for (fs::directory_iterator entry(run, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    for (const char* of : {"config.ini", "metrics.jsonl", "STATUS", "LATEST"}) {
      if (name.starts_with(std::string(of) + ".tmp-")) leftovers.push_back(entry->path());
    }
  }
  for (const fs::path& leftover : leftovers) fs::remove(leftover, error);
}

}  // namespace

RunDirectory::RunDirectory(fs::path path, bool may_exist) : path_(std::move(path)) {
  std::error_code error;
  refuse_what_is_there(path_, may_exist);
  made_ = fs::create_directories(path_, error);
  if (error || access(path_.c_str(), W_OK) != 0) {
    cannot_write(path_, error ? error.message() : std::strerror(errno));
  }
  refuse_stop(path_);
  try {
    lock_.emplace(path_);
  } catch (const Error&) {
    if (made_) fs::remove(path_, error);
    throw;
  }
  remove_leftovers(path_);
}

void RunDirectory::check(const fs::path& path, bool may_exist) {
  refuse_what_is_there(path, may_exist);
  std::error_code error;
  const fs::path there = nearest_directory(path);
  if (!fs::is_directory(there, error)) cannot_write(path, std::strerror(ENOTDIR));
  if (access(there.c_str(), W_OK | X_OK) != 0) cannot_write(path, std::strerror(errno));
  refuse_stop(path);
  RunLock::expect_free(path);
}

RunDirectory::~RunDirectory() {
  const bool ours = is_ours();
  lock_.reset();
  std::error_code ignored;
  if (made_ && ours) fs::remove(path_, ignored);  // only if nothing was written to it
}

void RunDirectory::check_ours() const {
  if (is_ours()) return;
  throw DiskError(
      fmt::format("{}: is no longer the file that this run locked: the directory was moved or "
                  "removed; nothing more is written",
                  (path_ / "LOCK").string()));
}

void RunDirectory::write_config(const std::string& text) const {
  check_ours();
  replace_file(path_ / "config.ini", text);
}

void RunDirectory::write_status(const nlohmann::json& status) const {
  try {
    check_ours();
    replace_file(path_ / "STATUS", json_text(status) + "\n");
  } catch (const DiskError& error) {
    log_warning(error.what());
  }
}

void RunDirectory::cut_metrics(std::int64_t step) const {
  check_ours();
  const fs::path path = path_ / "metrics.jsonl";
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return;
  std::string kept;
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);) {
    const nlohmann::json json = parse_json_or_discard(line);
    if (!json.is_object() || json.contains("at_stop")) continue;
    const auto of = json.find("step");
    if (of != json.end() && of->is_number_integer() && *of <= step) kept += line + "\n";
  }
  replace_file(path, kept);
}

void RunDirectory::set_aside_checkpoints_after(std::int64_t step) const {
  check_ours();
  std::error_code error;
  for (fs::directory_iterator entry(path_ / "ckpt", error), last; !error && entry != last;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::int64_t of = -1;
    const char* const end = name.data() + name.size();
    if (!name.starts_with("step-") ||
        std::from_chars(name.data() + 5, end, of) != std::from_chars_result{end, std::errc()} ||
        of <= step)
      continue;
    fs::path aside = path_ / "ckpt" / (".stale-" + name);
    for (int i = 1; fs::exists(aside); ++i)
      aside = path_ / "ckpt" / fmt::format(".stale-{}-{}", name, i);
    fs::rename(entry->path(), aside);
    log_warning(fmt::format("{} is of a later step than the one resumed from: set aside as {}",
                            entry->path().string(), aside.filename().string()));
  }
}

namespace {

/// Adds `line` as a whole or not at all; what went wrong, or 0.
int append(const fs::path& path, std::string_view line) {
  const int file =
      ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (file < 0) return errno;
  const off_t bytes_before = ::lseek(file, 0, SEEK_END);
  int error = 0;
  while (!line.empty() && error == 0) {
    const ssize_t written = ::write(file, line.data(), line.size());
    if (written >= 0) {
      line.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  // half a line would spoil the next
  if (error != 0 && bytes_before >= 0 && ::ftruncate(file, bytes_before) != 0) error = errno;
  ::close(file);
  return error;
}

}  // namespace

void RunDirectory::append_metrics(const nlohmann::json& line) {
  if (!is_ours()) return;  // the run ends at its next step
  const fs::path path = path_ / "metrics.jsonl";
  const int error = append(path, json_text(line) + "\n");
  if (error == 0 || metrics_warned_) return;
  metrics_warned_ = true;
  log_warning(fmt::format("{}: cannot write: {}; metrics are lost until there is space",
                          path.string(), std::strerror(error)));
}

bool RunDirectory::stop_requested() const {
  std::error_code ignored;
  return fs::exists(path_ / "STOP", ignored);
}

fs::path nearest_directory(const fs::path& path) {
  std::error_code error;
  fs::path there = fs::absolute(path, error);
  while (!fs::exists(fs::symlink_status(there, error)) && there.has_relative_path()) {
    there = there.parent_path();
  }
  return there;
}

}  // namespace relgrad
