#include "data/input_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "data/interrupt_guard.hpp"
#include "data/scratch_file.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace fs = std::filesystem;

InputFile::InputFile(const fs::path& path) : path_(path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) {
    throw DataError(fmt::format("{}: no such file; check the path", path.string()));
  }
  if (status.type() == fs::file_type::none) {
    throw DataError(fmt::format("{}: cannot read: {}", path.string(), error.message()));
  }
  if (!fs::is_regular_file(status)) {
    throw DataError(fmt::format("{}: not a regular file", path.string()));
  }
  errno = 0;
  file_ = ::gzopen(path.c_str(), "rb");
  if (file_ == nullptr) {
    throw DataError(fmt::format("{}: cannot read: {}", path.string(),
                                errno == 0 ? "out of memory" : std::strerror(errno)));
  }
  file_bytes_ = fs::file_size(path);
  prepare_to_read();
}

InputFile::InputFile(const ScratchFile& content, fs::path path)
    : path_(std::move(path)), file_bytes_(content.size()) {
  file_ = ::gzdopen(content.descriptor_from_start(), "rb");
  if (file_ == nullptr) throw std::bad_alloc();
  prepare_to_read();
}

void InputFile::prepare_to_read() {
  ::gzbuffer(file_, 256U << 10U);
  compressed_ = ::gzdirect(file_) == 0;
}

InputFile::~InputFile() {
  if (file_ != nullptr) ::gzclose_r(file_);
}

std::uint64_t InputFile::read_some(void* to, std::uint64_t bytes) {
  InterruptGuard::check();
  auto* next = static_cast<std::byte*>(to);
  std::uint64_t done = 0;
  while (done < bytes) {
    const auto piece =
        static_cast<unsigned>(std::min<std::uint64_t>(bytes - done, std::uint64_t{1} << 30U));
    const int got = ::gzread(file_, next + done, piece);
    if (got > 0) done += static_cast<std::uint64_t>(got);
    if (got == static_cast<int>(piece)) continue;
    int code = Z_OK;
    const char* reason = ::gzerror(file_, &code);
    if (code == Z_BUF_ERROR) {
      throw DataError(
          fmt::format("{}: truncated: the compressed file ends after {} bytes of "
                      "content; copy it again",
                      name(), position_ + done));
    }
    if (got < 0) {
      throw DataError(fmt::format("{}: cannot read: {}", name(),
                                  code == Z_ERRNO ? std::strerror(errno) : reason));
    }
    break;
  }
  position_ += done;
  return done;
}

void InputFile::read(void* to, std::uint64_t bytes, const std::string& what) {
  const std::uint64_t begin = position_;
  const std::uint64_t got = read_some(to, bytes);
  if (got == bytes) return;
  throw DataError(fmt::format("{}: truncated: {} needs bytes {} to {}, the content has {}", name(),
                              what, begin, begin + bytes, position_));
}

void InputFile::seek(std::uint64_t position) {
  if (::gzseek(file_, static_cast<z_off_t>(position), SEEK_SET) < 0) {
    throw DataError(
        fmt::format("{}: cannot seek to byte {}; truncated or not a file that can be "
                    "read twice",
                    name(), position));
  }
  position_ = position;
}

void InputFile::expect_end(const std::string& what) {
  std::byte more{};
  if (read_some(&more, 1) != 0) {
    throw DataError(fmt::format("{}: longer than {} says: more than {} bytes of content", name(),
                                what, position_ - 1));
  }
}

std::uint64_t InputFile::content_bytes() {
  if (!compressed_) return file_bytes_;
  InputFile again(path_);
  std::vector<std::byte> piece(std::size_t{1} << 20U);
  while (again.read_some(piece.data(), piece.size()) == piece.size()) continue;
  return again.position();
}

void InputFile::expect_content_bytes(std::uint64_t expected, const std::string& what) const {
  // deflate makes at most 1032 bytes of one: nothing is allocated for a claim beyond that.
  const std::uint64_t found = compressed_ ? 1032 * file_bytes_ : file_bytes_;
  if (compressed_ ? expected <= found : expected == found) return;
  throw DataError(fmt::format("{}: {}{} bytes, but {} makes {}; {}", name(),
                              compressed_ ? "at most " : "", found, what, expected,
                              found < expected ? "truncated: copy it again" : "not what it says"));
}

}  // namespace relgrad
