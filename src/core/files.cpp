#include "relgrad/core/files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <stdio.h>  // renameat2
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <random>
#include <utility>

#include "relgrad/core/error.hpp"

namespace relgrad {

namespace fs = std::filesystem;

namespace {

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return number_; }
  bool is_open() const { return number_ >= 0; }
  /// Some file systems tell of a failed write only now.
  bool close() { return ::close(std::exchange(number_, -1)) == 0; }

 private:
  int number_;
};

[[noreturn]] void cannot_write(const fs::path& path, int error) {
  throw DiskError(fmt::format("{}: cannot write: {}; free space or choose another place",
                              path.string(), std::strerror(error)));
}

/// Before a long computation: a file can be made here. @throws DiskError with the reason.
void expect_writable_folder(const fs::path& path) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  struct stat status = {};
  if (::stat(folder.c_str(), &status) != 0) cannot_write(path, errno);
  if (!S_ISDIR(status.st_mode)) cannot_write(path, ENOTDIR);
  if (::access(folder.c_str(), W_OK | X_OK) != 0) cannot_write(path, errno);
}

/// "x.h5" -> "x.h5.tmp-0123456789abcdef".
fs::path name_by_chance(const fs::path& path) {
  constexpr std::size_t longest_name = 255;
  std::random_device random;
  const std::string ending = fmt::format(".tmp-{:08x}{:08x}", random(), random());
  const std::string name = path.filename().string();
  return path.parent_path() /
         ((name.size() + ending.size() > longest_name ? ".relgrad" : name) + ending);
}

bool write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

/// A device or pipe has nothing to hand to a disk.
bool sync(int descriptor) { return ::fsync(descriptor) == 0 || errno == EINVAL; }

bool is_same_file(const struct stat& one, const struct stat& other) {
  return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/// The standard stream that `status` is of, as when /dev/stdout is named; -1 otherwise.
int standard_stream_of(const struct stat& status) {
  for (const int stream : {STDOUT_FILENO, STDERR_FILENO}) {
    struct stat open = {};
    if (::fstat(stream, &open) == 0 && is_same_file(open, status)) return stream;
  }
  return -1;
}

struct Target {
  enum class Kind { nothing, regular, special, directory, dangling };
  Kind kind = Kind::nothing;
  fs::path path;  // of the file itself, where a link names it
  mode_t mode = 0;
  int stream = -1;  // it is one of the standard streams
};

Target target_of(const fs::path& path) {
  Target target;
  target.path = path;
  struct stat status = {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno != ENOENT) cannot_write(path, errno);
    return target;
  }
  if (S_ISLNK(status.st_mode)) {
    if (::stat(path.c_str(), &status) != 0) {
      target.kind = Target::Kind::dangling;
      return target;
    }
    std::error_code error;
    const fs::path resolved = fs::canonical(path, error);
    if (!error) target.path = resolved;
  }
  target.mode = status.st_mode & 07777U;
  target.stream = standard_stream_of(status);
  target.kind = S_ISDIR(status.st_mode)   ? Target::Kind::directory
                : target.stream >= 0      ? Target::Kind::special
                : S_ISREG(status.st_mode) ? Target::Kind::regular
                                          : Target::Kind::special;
  return target;
}

void write_into(const fs::path& path, int stream, std::string_view text) {
  if (stream >= 0) {
    std::fflush(stream == STDOUT_FILENO ? stdout : stderr);
    if (!write_all(stream, text)) cannot_write(path, errno);
    return;
  }
  // Without O_NONBLOCK this would wait for the reader of a pipe, for ever.
  Descriptor file(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (!file.is_open()) cannot_write(path, errno);
  ::fcntl(file.get(), F_SETFL, O_WRONLY);
  if (!write_all(file.get(), text) || !file.close()) cannot_write(path, errno);
}

/// @param mode  permissions of the file that is replaced, if there is one
void replace(const fs::path& path, std::optional<mode_t> mode, std::string_view text) {
  const fs::path temporary = name_by_chance(path);
  Descriptor file(
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (!file.is_open()) cannot_write(path, errno);
  if (mode) ::fchmod(file.get(), *mode);
  if (!write_all(file.get(), text) || !sync(file.get()) || !file.close() ||
      ::rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    cannot_write(path, error);
  }
  sync_directory_of(path);
}

/// True: renamed; false, with errno EEXIST, if something has the name.
bool rename_to_free_name(const fs::path& from, const fs::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return true;
  if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP) return false;
  // A file system without that: a link is never made over a name. Then one without links.
  if (::link(from.c_str(), to.c_str()) == 0) return ::unlink(from.c_str()) == 0;
  if (errno == EEXIST) return false;
  struct stat ignored = {};
  if (::lstat(to.c_str(), &ignored) == 0) {
    errno = EEXIST;
    return false;
  }
  return ::rename(from.c_str(), to.c_str()) == 0;
}

}  // namespace

void refuse_existing(const fs::path& path, std::string_view option) {
  struct stat ignored = {};
  if (::lstat(path.c_str(), &ignored) == 0) {
    throw UsageError(
        fmt::format("{}: {} exists; name another file or remove it", option, path.string()));
  }
  if (errno != ENOENT) cannot_write(path, errno);
  expect_writable_folder(path);
}

NewFile::NewFile(fs::path path, std::string_view option)
    : path_(std::move(path)), option_(option), temporary_(name_by_chance(path_)) {
  refuse_existing(path_, option_);
}

NewFile::~NewFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void NewFile::commit() {
  Descriptor file(::open(temporary_.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  if (!file.is_open() || !sync(file.get()) || !file.close()) cannot_write(path_, errno);
  if (!rename_to_free_name(temporary_, path_)) {
    if (errno == EEXIST) refuse_existing(path_, option_);
    cannot_write(path_, errno);
  }
  temporary_.clear();
  sync_directory_of(path_);
}

void replace_file(const fs::path& path, std::string_view text) {
  replace(path, std::nullopt, text);
}

void write_file(const fs::path& path, std::string_view text) {
  const Target target = target_of(path);
  switch (target.kind) {
    case Target::Kind::nothing:
      return replace(target.path, std::nullopt, text);
    case Target::Kind::regular:
      return replace(target.path, target.mode, text);
    case Target::Kind::special:
      return write_into(path, target.stream, text);
    case Target::Kind::directory:
      throw UsageError(fmt::format("{}: is a directory; name a file", path.string()));
    case Target::Kind::dangling:
      throw UsageError(
          fmt::format("{}: is a link to nothing; remove it or name another file", path.string()));
  }
}

void check_replaceable(const fs::path& path, std::string_view option,
                       const std::function<bool(const std::string&)>& may_replace) {
  const Target target = target_of(path);
  const auto refuse = [&](std::string_view what) {
    throw UsageError(fmt::format("{}: {} {}", option, path.string(), what));
  };
  if (target.kind == Target::Kind::directory) refuse("is a directory; name a file");
  if (target.kind == Target::Kind::dangling) refuse("is a link to nothing; name another file");
  if (target.kind == Target::Kind::nothing) expect_writable_folder(path);
  if (target.kind != Target::Kind::regular) return;
  expect_writable_folder(target.path);
  const std::string content = read_file(target.path);
  if (!content.empty() && !may_replace(content)) {
    refuse("exists and holds something else; name another file or remove it");
  }
}

namespace {

[[noreturn]] void cannot_read(const fs::path& path, const std::string& reason) {
  throw DataError(fmt::format("{}: cannot read: {}", path.string(), reason));
}

/// Whether there is something to read, or the end, within 10 s.
bool comes(int descriptor) {
  struct pollfd waits = {descriptor, POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&waits, 1, 10000);
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

}  // namespace

std::string read_file(const fs::path& path) {
  // Without O_NONBLOCK, opening a pipe would wait for its writer, for ever.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (!file.is_open()) cannot_read(path, std::strerror(errno));
  struct stat status = {};
  if (::fstat(file.get(), &status) != 0) cannot_read(path, std::strerror(errno));
  const bool is_pipe = S_ISFIFO(status.st_mode);
  if (!S_ISREG(status.st_mode) && !is_pipe) {
    cannot_read(path, S_ISDIR(status.st_mode) ? "it is a directory" : "it is no regular file");
  }
  std::string content;
  std::array<char, 1 << 16> piece{};
  for (;;) {
    if (is_pipe && !comes(file.get())) cannot_read(path, "it is a pipe that nobody writes to");
    const ssize_t got = ::read(file.get(), piece.data(), piece.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) cannot_read(path, std::strerror(errno));
    if (got == 0) return content;
    content.append(piece.data(), static_cast<std::size_t>(got));
  }
}

void sync_directory_of(const fs::path& path) {
  const fs::path directory = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const Descriptor opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened.is_open()) return;  // may be written to but not read
  if (!sync(opened.get())) cannot_write(directory, errno);
}

}  // namespace relgrad
