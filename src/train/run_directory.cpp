#include "relgrad/train/run_directory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/mpi/communicator.hpp"

namespace relgrad {

namespace fs = std::filesystem;

void write_file_atomically(const fs::path& path, const std::string& content) {
  const fs::path temporary = path.string() + ".tmp";
  {
    std::ofstream file(temporary, std::ios::trunc);
    file << content;
    file.flush();
    if (!file) {
      const std::string reason = std::strerror(errno);
      std::error_code ignored;
      fs::remove(temporary, ignored);
      throw DiskError(fmt::format("{}: cannot write: {}; free space or choose another place",
                                  path.string(), reason));
    }
  }
  std::error_code error;
  fs::rename(temporary, path, error);
  if (error) throw DiskError(fmt::format("{}: cannot write: {}", path.string(), error.message()));
}

namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// When a process started, in clock ticks since the machine did; empty if there is none, or only
/// what is left of one that ended and that nobody waited for (a zombie).
std::string start_of_process(std::int64_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string line;
  std::getline(file, line);
  const std::size_t name_end = line.rfind(')');  // "17 (a name) S 1 ...": the name may hold spaces
  if (name_end == std::string::npos) return "";
  std::istringstream fields(line.substr(name_end + 1));
  std::string field;
  for (int i = 3; i <= 22 && fields >> field; ++i) {  // numbered as in proc(5)
    if (i == 3 && (field == "Z" || field == "X")) return "";
  }
  return field;
}

nlohmann::json my_identity() {
  return {{"host", mpi::host_name()},
          {"pid", static_cast<std::int64_t>(getpid())},
          {"started", start_of_process(getpid())},
          {"job", environment("SLURM_JOB_ID")}};
}

/// A lock is stale if its process is gone (same host; its number may be another's by now) or it
/// belongs to an earlier start of this job.
bool is_stale(const nlohmann::json& owner, const nlohmann::json& me) {
  if (owner.is_discarded() || !owner.contains("host") || !owner.contains("pid")) return true;
  if (owner.at("host") == me.at("host")) {
    const std::string start = start_of_process(owner.at("pid").get<std::int64_t>());
    return start.empty() || owner.value("started", start) != start;
  }
  const auto job = me.at("job").get<std::string>();
  return !job.empty() && owner.value("job", "") == job;
}

}  // namespace

RunDirectory::RunDirectory(fs::path path, bool may_exist) : path_(std::move(path)) {
  std::error_code error;
  const bool holds_run = fs::exists(path_ / "config.ini") || fs::exists(path_ / "ckpt");
  if (holds_run && !may_exist) {
    throw UsageError(fmt::format(
        "--run: {} already holds a run; continue it with --resume auto, or name another directory",
        path_.string()));
  }
  made_ = fs::create_directories(path_, error);
  if (error || access(path_.c_str(), W_OK) != 0) {
    throw DiskError(fmt::format("--run: cannot write to {}: {}; name a directory you may write to",
                                path_.string(), error ? error.message() : std::strerror(errno)));
  }
  if (stop_requested()) {
    throw UsageError(fmt::format("--run: {} asks this run to stay stopped; remove it to go on",
                                 (path_ / "STOP").string()));
  }
  take_lock();
}

void RunDirectory::take_lock() const {
  const fs::path lock = path_ / "LOCK";
  const nlohmann::json me = my_identity();
  for (int attempt = 0; attempt < 2; ++attempt) {
    const int descriptor = ::open(lock.c_str(), O_CREAT | O_EXCL | O_WRONLY, 0644);
    if (descriptor >= 0) {
      const std::string text = me.dump() + "\n";
      const bool written =
          ::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size());
      ::close(descriptor);
      if (written) return;
      std::error_code ignored;
      fs::remove(lock, ignored);
      throw DiskError(
          fmt::format("{}: cannot write; free space or choose another --run", lock.string()));
    }
    std::ifstream file(lock);
    const auto owner = nlohmann::json::parse(file, nullptr, false);
    if (!is_stale(owner, me)) {
      throw UsageError(fmt::format(
          "--run: {} is in use by process {} on {}; wait for it, or remove {} if that job is dead",
          path_.string(), owner.at("pid").get<std::int64_t>(), owner.value("host", "?"),
          lock.string()));
    }
    std::error_code ignored;
    fs::remove(lock, ignored);  // left by a job that died
  }
  throw UsageError(fmt::format("--run: {} is being opened by another job", path_.string()));
}

RunDirectory::~RunDirectory() {
  std::error_code ignored;
  fs::remove(path_ / "LOCK", ignored);
  if (made_) fs::remove(path_, ignored);  // only if nothing was written to it
}

void RunDirectory::write_config(const std::string& text) const {
  write_file_atomically(path_ / "config.ini", text);
}

void RunDirectory::write_status(const nlohmann::json& status) const {
  try {
    write_file_atomically(path_ / "STATUS", status.dump() + "\n");
  } catch (const DiskError& error) {
    log_warning(error.what());
  }
}

void RunDirectory::cut_metrics(std::int64_t step) const {
  std::ifstream file(path_ / "metrics.jsonl");
  if (!file) return;
  std::string kept;
  for (std::string line; std::getline(file, line);) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    if (json.is_object() && json.value("step", std::int64_t{0}) <= step) kept += line + "\n";
  }
  write_file_atomically(path_ / "metrics.jsonl", kept);
}

void RunDirectory::set_aside_checkpoints_after(std::int64_t step) const {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path_ / "ckpt", error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("step-")) continue;
    const std::string digits = name.substr(5);
    if (digits.empty() || digits.find_first_not_of("0123456789") != std::string::npos) continue;
    if (std::stoll(digits) <= step) continue;
    fs::path aside = path_ / "ckpt" / (".stale-" + name);
    for (int i = 1; fs::exists(aside); ++i)
      aside = path_ / "ckpt" / fmt::format(".stale-{}-{}", name, i);
    fs::rename(entry.path(), aside);
    log_warning(fmt::format("{} is of a later step than the one resumed from: set aside as {}",
                            entry.path().string(), aside.filename().string()));
  }
}

void RunDirectory::append_metrics(const nlohmann::json& line) {
  std::ofstream file(path_ / "metrics.jsonl", std::ios::app);
  file << line.dump() << '\n';
  file.flush();
  if (!file && !metrics_warned_) {
    log_warning(fmt::format("{}: cannot write: {}; metrics are lost until there is space",
                            (path_ / "metrics.jsonl").string(), std::strerror(errno)));
    metrics_warned_ = true;
  }
}

bool RunDirectory::stop_requested() const {
  std::error_code ignored;
  return fs::exists(path_ / "STOP", ignored);
}

}  // namespace relgrad
