#include "run/run_lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "hdf5/file.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/json.hpp"
#include "relgrad/mpi/communicator.hpp"

namespace relgrad {

namespace fs = std::filesystem;

namespace {

struct Owner {
  std::string host;
  std::int64_t pid = 0;
  std::string started;  // see start_of_process
  std::string job;      // of SLURM; empty without
};

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

Owner myself() {
  const char* job = std::getenv("SLURM_JOB_ID");
  return {mpi::host_name(), getpid(), start_of_process(getpid()), job == nullptr ? "" : job};
}

/// Nothing where the file is empty or damaged.
std::optional<Owner> read_owner(const fs::path& lock) {
  std::ifstream file(lock);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto json = parse_json_or_discard(text);
  try {
    return Owner{json.at("host"), json.at("pid"), json.value("started", ""), json.value("job", "")};
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

/// Its number may be another process's by now.
bool is_running(const Owner& owner) {
  const std::string start = start_of_process(owner.pid);
  return !start.empty() && (owner.started.empty() || owner.started == start);
}

enum class FileLock { ours, of_another, unknown };  // unknown: the file system keeps no locks

FileLock lock_file(int descriptor) {
  while (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EINTR) return errno == EWOULDBLOCK ? FileLock::of_another : FileLock::unknown;
  }
  return FileLock::ours;
}

/// An owner that ends removes LOCK, perhaps just after we opened it.
bool still_has_its_name(int descriptor, const fs::path& path) {
  struct stat opened = {};
  struct stat named = {};
  return ::fstat(descriptor, &opened) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

/// Reading a pipe would wait for ever. Closes `descriptor` before it throws UsageError.
void expect_regular_file(int descriptor, const fs::path& path) {
  struct stat status = {};
  if (::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode)) return;
  ::close(descriptor);
  throw UsageError(fmt::format("--run: {} is no regular file; remove it or name another directory",
                               path.string()));
}

bool lives(const std::optional<Owner>& owner, FileLock found) {
  if (found == FileLock::of_another) return true;
  if (!owner) return false;
  const Owner me = myself();
  if (owner->host == me.host) return found == FileLock::unknown && is_running(*owner);
  return me.job.empty() || owner->job != me.job;
}

std::string in_use(const fs::path& lock, const std::optional<Owner>& owner) {
  const std::string run = lock.parent_path().string();
  if (!owner) return fmt::format("--run: {} is being opened by another job", run);
  return fmt::format(
      "--run: {} is in use by process {} on {}; wait for it, or remove {} if that job is dead", run,
      owner->pid, owner->host, lock.string());
}

void write_owner(int descriptor, const fs::path& lock) {
  const Owner me = myself();
  const std::string text =
      nlohmann::json{{"host", me.host}, {"pid", me.pid}, {"started", me.started}, {"job", me.job}}
          .dump() +
      "\n";
  std::size_t done = 0;
  ssize_t written = ::ftruncate(descriptor, 0);
  while (written >= 0 && done < text.size()) {
    written =
        ::pwrite(descriptor, text.data() + done, text.size() - done, static_cast<off_t>(done));
    if (written < 0 && errno == EINTR) written = 0;
    if (written > 0) done += static_cast<std::size_t>(written);
  }
  if (done == text.size()) return;
  const std::string reason = std::strerror(errno);
  ::unlink(lock.c_str());
  throw DiskError(fmt::format("{}: cannot write: {}; free space or choose another --run",
                              lock.string(), reason));
}

}  // namespace

RunLock::RunLock(const fs::path& run_directory) : path_(run_directory / "LOCK") {
  FileLock found = FileLock::unknown;
  do {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ =
        ::open(path_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
    if (descriptor_ < 0) {
      throw DiskError(fmt::format("{}: cannot write: {}; free space or choose another --run",
                                  path_.string(), std::strerror(errno)));
    }
    expect_regular_file(descriptor_, path_);
    found = lock_file(descriptor_);
  } while (found != FileLock::of_another && !still_has_its_name(descriptor_, path_));
  try {
    const std::optional<Owner> owner = read_owner(path_);
    if (lives(owner, found)) throw UsageError(in_use(path_, owner));
    write_owner(descriptor_, path_);
  } catch (const Error&) {
    ::close(descriptor_);
    throw;
  }
}

void RunLock::expect_free(const fs::path& run_directory) {
  const fs::path path = run_directory / "LOCK";
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) return;
  expect_regular_file(descriptor, path);
  const FileLock found = lock_file(descriptor);
  ::close(descriptor);
  const std::optional<Owner> owner = read_owner(path);
  if (lives(owner, found)) throw UsageError(in_use(path, owner));
}

RunLock::~RunLock() {
  if (is_held()) ::unlink(path_.c_str());
  ::close(descriptor_);
}

bool RunLock::is_held() const { return still_has_its_name(descriptor_, path_); }

}  // namespace relgrad
