#include "data/archive_reader.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <locale.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "data/input_file.hpp"
#include "data/interrupt_guard.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

/// Names in archives are UTF-8: in this locale libarchive hands them over as they are, in "C" it
/// would replace their letters by '?', and two names could become one.
class Utf8Locale {
 public:
  Utf8Locale() : utf8_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
    if (utf8_ != nullptr) before_ = ::uselocale(utf8_);
  }
  ~Utf8Locale() {
    if (utf8_ == nullptr) return;
    ::uselocale(before_);
    ::freelocale(utf8_);
  }
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;

 private:
  locale_t utf8_;
  locale_t before_ = nullptr;
};

}  // namespace

struct ArchiveReader::Impl {
  explicit Impl(const std::filesystem::path& path) : file(path) {}
  ~Impl() { archive_read_free(library); }

  // What libarchive calls: no exception may pass through it.
  static la_ssize_t read_bytes(archive* library, void* data, const void** buffer) {
    auto* impl = static_cast<Impl*>(data);
    try {
      *buffer = impl->buffer.data();
      return static_cast<la_ssize_t>(
          impl->file.read_some(impl->buffer.data(), impl->buffer.size()));
    } catch (...) {
      impl->failure = std::current_exception();
      archive_set_error(library, EIO, "cannot read");
      return -1;
    }
  }
  static la_int64_t seek(archive* library, void* data, la_int64_t offset, int whence) {
    auto* impl = static_cast<Impl*>(data);
    try {
      const auto size = static_cast<la_int64_t>(impl->file.content_bytes());
      const la_int64_t base = whence == SEEK_SET   ? 0
                              : whence == SEEK_CUR ? static_cast<la_int64_t>(impl->file.position())
                                                   : size;
      const la_int64_t to = std::clamp<la_int64_t>(base + offset, 0, size);
      impl->file.seek(static_cast<std::uint64_t>(to));
      return to;
    } catch (...) {
      impl->failure = std::current_exception();
      archive_set_error(library, EIO, "cannot seek");
      return ARCHIVE_FATAL;
    }
  }

  /// @throws DataError with libarchive's reason, or what a callback threw.
  [[noreturn]] void fail(const std::string& where) {
    if (failure) std::rethrow_exception(failure);
    const char* text = archive_error_string(library);
    std::string reason = text == nullptr ? "no reason given" : text;
    std::ranges::replace(reason, '\n', ' ');
    throw DataError(
        fmt::format("{}: truncated, damaged or not a tar or zip archive: {}; copy it "
                    "again",
                    where, reason));
  }

  Utf8Locale locale;
  InputFile file;
  std::array<std::uint8_t, std::size_t{64} << 10U> buffer{};
  archive* library = nullptr;
  std::exception_ptr failure;  // of a callback
  std::uint64_t start = 0;     // where reading began
  std::uint64_t members = 0;   // so far
  std::string member;          // the last one's name, for messages
};

ArchiveReader::ArchiveReader(const std::filesystem::path& path, std::uint64_t position)
    : impl_(std::make_unique<Impl>(path)) {
  impl_->start = position;
  if (position > 0) impl_->file.seek(position);
  impl_->library = archive_read_new();
  archive* const library = impl_->library;
  if (library == nullptr) throw std::bad_alloc();
  archive_read_support_format_tar(library);
  archive_read_support_filter_xz(library);
  archive_read_support_filter_lzma(library);
  archive_read_support_filter_bzip2(library);
  archive_read_support_filter_zstd(library);
  archive_read_set_read_callback(library, &Impl::read_bytes);
  archive_read_set_callback_data(library, impl_.get());
  if (position == 0 && !impl_->file.is_compressed()) {
    archive_read_support_format_zip_seekable(library);
    archive_read_set_seek_callback(library, &Impl::seek);
  }
  if (archive_read_open1(library) != ARCHIVE_OK) impl_->fail(impl_->file.name());
}

ArchiveReader::~ArchiveReader() = default;

bool ArchiveReader::is_plain_tar() const {
  return !impl_->file.is_compressed() && archive_filter_count(impl_->library) == 1 &&
         (archive_format(impl_->library) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_TAR;
}

std::optional<ArchiveMember> ArchiveReader::next() {
  InterruptGuard::check();
  archive* const library = impl_->library;
  archive_entry* entry = nullptr;
  const int result = archive_read_next_header(library, &entry);
  const auto position = static_cast<std::uint64_t>(archive_read_header_position(library));
  if (result == ARCHIVE_EOF) {
    // libarchive also takes the end of the bytes for the end of a tar.
    if (is_plain_tar() && impl_->start + position + 512 > impl_->file.content_bytes()) {
      throw DataError(impl_->file.name() + ": truncated: no end-of-archive mark; copy it again");
    }
    return std::nullopt;
  }
  if (result != ARCHIVE_OK && result != ARCHIVE_WARN) impl_->fail(impl_->file.name());
  ArchiveMember member;
  const char* path = archive_entry_pathname(entry);
  if (path == nullptr) impl_->fail(impl_->file.name());
  member.path = path;
  member.number = impl_->members++;
  member.position = impl_->start + position;
  impl_->member = fmt::format("{}: {}", impl_->file.name(), member.path);
  const char* hard_link = archive_entry_hardlink(entry);
  const char* symbolic_link = archive_entry_symlink(entry);
  const auto type = archive_entry_filetype(entry);
  using Kind = ArchiveMember::Kind;
  if (hard_link != nullptr) {
    member.kind = Kind::hard_link;
    member.link = hard_link;
  } else if (type == AE_IFLNK) {
    member.kind = Kind::symbolic_link;
    member.link = symbolic_link == nullptr ? "" : symbolic_link;
  } else if (type == AE_IFDIR) {
    member.kind = Kind::folder;
  } else {
    member.kind = type == AE_IFREG || type == 0 ? Kind::file : Kind::other;
  }
  return member;
}

std::vector<std::uint8_t> ArchiveReader::read(std::uint64_t most) {
  std::vector<std::uint8_t> bytes;
  while (bytes.size() < most) {
    // The size that a header claims is not believed: memory grows with what comes.
    const std::size_t done = bytes.size();
    const std::uint64_t piece = std::max<std::uint64_t>(done, std::uint64_t{64} << 10U);
    bytes.resize(done + std::min(piece, most - done));
    const la_ssize_t got =
        archive_read_data(impl_->library, bytes.data() + done, bytes.size() - done);
    if (got < 0) impl_->fail(impl_->member);
    bytes.resize(done + static_cast<std::size_t>(got));
    if (got == 0) break;
  }
  return bytes;
}

}  // namespace relgrad
