#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "hdf5/file.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad::hdf5 {
namespace {

/// Linux moves at most 0x7ffff000 bytes per call.
constexpr std::uint64_t largest_call = std::uint64_t{1} << 30;

std::string system_reason() { return std::strerror(errno); }

}  // namespace

RawFile::RawFile(const std::filesystem::path& path, Mode mode) : path_(path) {
  // Without O_NONBLOCK, opening a pipe waits for its writer; regular files do not care.
  const int flags = (mode == Mode::read ? O_RDONLY | O_NONBLOCK : O_RDWR) | O_CLOEXEC;
  do {
    descriptor_ = ::open(path.c_str(), flags);
  } while (descriptor_ < 0 && errno == EINTR);
  struct stat status = {};
  const bool is_open = descriptor_ >= 0;
  if (is_open && (::fstat(descriptor_, &status) != 0 || S_ISREG(status.st_mode))) return;
  const std::string reason = is_open ? "not a regular file" : system_reason();
  if (is_open) ::close(std::exchange(descriptor_, -1));
  if (mode == Mode::read)
    throw DataError(fmt::format("{}: cannot read: {}", path.string(), reason));
  throw DiskError(fmt::format("{}: cannot open for writing: {}", path.string(), reason));
}

RawFile::~RawFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

RawFile::RawFile(RawFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

RawFile& RawFile::operator=(RawFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

void RawFile::read_at(std::uint64_t offset, void* to, std::uint64_t bytes) const {
  auto* next = static_cast<std::byte*>(to);
  while (bytes > 0) {
    const ssize_t got =
        ::pread(descriptor_, next, std::min(bytes, largest_call), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      throw DataError(fmt::format("{}: cannot read {} bytes at {}: {}", path_.string(), bytes,
                                  offset, system_reason()));
    if (got == 0)
      throw DataError(
          fmt::format("{}: ends at byte {}, {} more were expected: it was cut. Copy it "
                      "again.",
                      path_.string(), offset, bytes));
    next += got;
    offset += static_cast<std::uint64_t>(got);
    bytes -= static_cast<std::uint64_t>(got);
  }
}

void RawFile::write_at(std::uint64_t offset, const void* from, std::uint64_t bytes) const {
  const auto* next = static_cast<const std::byte*>(from);
  while (bytes > 0) {
    const ssize_t put =
        ::pwrite(descriptor_, next, std::min(bytes, largest_call), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0)
      throw DiskError(fmt::format(
          "{}: cannot write {} bytes at {}: {}. Free space or raise the "
          "quota.",
          path_.string(), bytes, offset, put < 0 ? system_reason() : "nothing was written"));
    next += put;
    offset += static_cast<std::uint64_t>(put);
    bytes -= static_cast<std::uint64_t>(put);
  }
}

void RawFile::reserve(std::uint64_t bytes) const {
  if (bytes == 0) return;
  int failed = 0;
  do {
    failed = ::fallocate(descriptor_, 0, 0, static_cast<off_t>(bytes));
  } while (failed != 0 && errno == EINTR);
  // A file system that cannot reserve (NFS before 4.2) tells at the write instead.
  if (failed == 0 || errno == EOPNOTSUPP || errno == ENOSYS) return;
  throw DiskError(fmt::format("{}: no room for {} bytes: {}. Free space or raise the quota.",
                              path_.string(), bytes, system_reason()));
}

void RawFile::sync() const {
  if (::fsync(descriptor_) != 0)
    throw DiskError(fmt::format("{}: fsync: {}", path_.string(), system_reason()));
}

std::uint64_t RawFile::size() const {
  struct stat status = {};
  if (::fstat(descriptor_, &status) != 0)
    throw DataError(fmt::format("{}: fstat: {}", path_.string(), system_reason()));
  return static_cast<std::uint64_t>(status.st_size);
}

void sync_directory(const std::filesystem::path& directory) {
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0)
    throw DiskError(
        fmt::format("{}: cannot open the directory: {}", directory.string(), system_reason()));
  const int failed = ::fsync(descriptor);
  const std::string reason = failed != 0 ? system_reason() : "";
  ::close(descriptor);
  if (failed != 0) throw DiskError(fmt::format("{}: fsync: {}", directory.string(), reason));
}

namespace {

class Hash {
 public:
  Hash() { XXH3_64bits_reset(state_.get()); }
  void add(const std::byte* bytes, std::uint64_t count) {
    XXH3_64bits_update(state_.get(), bytes, count);
  }
  std::string text() const { return fmt::format("xxh3:{:016x}", XXH3_64bits_digest(state_.get())); }

 private:
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state_{XXH3_createState(),
                                                                  &XXH3_freeState};
};

/// Adds the bytes [begin, end) of the file.
void add_bytes(const RawFile& file, std::uint64_t begin, std::uint64_t end, Hash& hash) {
  std::vector<std::byte> piece(std::min<std::uint64_t>(end - begin, std::uint64_t{8} << 20));
  while (begin < end) {
    const std::uint64_t bytes = std::min<std::uint64_t>(piece.size(), end - begin);
    file.read_at(begin, piece.data(), bytes);
    hash.add(piece.data(), bytes);
    begin += bytes;
  }
}

}  // namespace

std::string checksum_of_file(const std::filesystem::path& path) {
  const RawFile file(path, RawFile::Mode::read);
  Hash hash;
  add_bytes(file, 0, file.size(), hash);
  return hash.text();
}

std::string read_and_checksum(const RawFile& file, const Place& place, std::byte* to) {
  Hash hash;
  add_bytes(file, 0, place.offset, hash);
  constexpr std::uint64_t piece = std::uint64_t{8} << 20U;  // hashed while it is in the cache
  for (std::uint64_t done = 0; done < place.bytes; done += piece) {
    const std::uint64_t bytes = std::min(piece, place.bytes - done);
    file.read_at(place.offset + done, to + done, bytes);
    hash.add(to + done, bytes);
  }
  const std::uint64_t end = place.offset + place.bytes;
  add_bytes(file, end, std::max(end, file.size()), hash);
  return hash.text();
}

std::string checksum_of_ends(const RawFile& file) {
  constexpr std::uint64_t end_bytes = std::uint64_t{64} << 10U;
  const std::uint64_t size = file.size();
  Hash hash;
  add_bytes(file, 0, std::min(size, end_bytes), hash);
  add_bytes(file, std::max(std::min(size, end_bytes), size - std::min(size, end_bytes)), size,
            hash);
  return hash.text();
}

}  // namespace relgrad::hdf5
