#include "data/scratch_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {
constexpr std::size_t largest_call = std::size_t{1} << 30U;  // Linux moves at most 2 GiB a call
}

ScratchFile::ScratchFile(const std::filesystem::path& folder)
    : folder_((folder.empty() ? std::filesystem::temp_directory_path() : folder).string()) {
  std::string name = (std::filesystem::path(folder_) / ".relgrad-scratch-XXXXXX").string();
  descriptor_ = ::mkostemp(name.data(), O_CLOEXEC);
  if (descriptor_ < 0) {
    throw DiskError(fmt::format("{}: cannot make a file there: {}", folder_, std::strerror(errno)));
  }
  ::unlink(name.c_str());
}

ScratchFile::~ScratchFile() { ::close(descriptor_); }

void ScratchFile::append(std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(descriptor_, bytes.data(), std::min(bytes.size(), largest_call),
                                 static_cast<off_t>(size_));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      throw DiskError(fmt::format("{}: cannot unpack a file there: {}; free space", folder_,
                                  put < 0 ? std::strerror(errno) : "nothing was written"));
    }
    size_ += static_cast<std::uint64_t>(put);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
}

int ScratchFile::descriptor_from_start() const {
  const int descriptor = ::fcntl(descriptor_, F_DUPFD_CLOEXEC, 0);
  if (descriptor < 0 || ::lseek(descriptor, 0, SEEK_SET) < 0) {
    throw DiskError(fmt::format("{}: cannot read back what was unpacked there: {}", folder_,
                                std::strerror(errno)));
  }
  return descriptor;
}

void ScratchFile::read_at(std::uint64_t offset, std::span<std::uint8_t> to) const {
  while (!to.empty()) {
    const ssize_t got = ::pread(descriptor_, to.data(), std::min(to.size(), largest_call),
                                static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      throw DiskError(fmt::format("{}: cannot read back what was unpacked there: {}", folder_,
                                  got < 0 ? std::strerror(errno) : "it ended"));
    }
    offset += static_cast<std::uint64_t>(got);
    to = to.subspan(static_cast<std::size_t>(got));
  }
}

}  // namespace relgrad
