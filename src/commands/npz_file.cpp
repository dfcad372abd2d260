#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cerrno>
#include <exception>
#include <memory>

#include "commands/weight_files.hpp"
#include "hdf5/file.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

/// A zip archive that libarchive writes, piece after piece.
class ZipFile {
 public:
  explicit ZipFile(const std::filesystem::path& path)
      : file_(path, hdf5::RawFile::Mode::write),
        library_(archive_write_new(), &archive_write_free) {
    archive* library = library_.get();
    check(library == nullptr ? ARCHIVE_FATAL : ARCHIVE_OK);
    check(archive_write_set_format_zip(library));
    check(archive_write_zip_set_compression_store(library));
    check(archive_write_set_bytes_in_last_block(library, 1));  // nothing is added to the end
    check(archive_write_open(library, this, nullptr, &write_bytes, nullptr));
  }

  /// One member: `head`, and then `body`.
  void add(const std::string& name, const std::string& head, const std::vector<std::byte>& body) {
    const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(),
                                                                              &archive_entry_free);
    archive_entry_set_pathname(entry.get(), name.c_str());
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(head.size() + body.size()));
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), 0644);
    archive_entry_set_mtime(entry.get(), 315532800, 0);  // 1980, so that equal weights make equal
                                                         // files
    check(archive_write_header(library_.get(), entry.get()));
    put(head.data(), head.size());
    put(body.data(), body.size());
  }
  void close() { check(archive_write_close(library_.get())); }

 private:
  // What libarchive calls: no exception may pass through it.
  static la_ssize_t write_bytes(archive* library, void* data, const void* from, std::size_t bytes) {
    auto* zip = static_cast<ZipFile*>(data);
    try {
      zip->file_.write_at(zip->end_, from, bytes);
      zip->end_ += bytes;
      return static_cast<la_ssize_t>(bytes);
    } catch (...) {
      zip->failure_ = std::current_exception();
      archive_set_error(library, EIO, "cannot write");
      return -1;
    }
  }
  void put(const void* from, std::size_t bytes) {
    const auto* next = static_cast<const std::byte*>(from);
    while (bytes > 0) {
      const la_ssize_t done = archive_write_data(library_.get(), next, bytes);
      if (done <= 0) check(ARCHIVE_FATAL);
      next += done;
      bytes -= static_cast<std::size_t>(done);
    }
  }
  void check(int result) {
    if (failure_) std::rethrow_exception(failure_);
    if (result == ARCHIVE_OK) return;
    const char* reason = library_ ? archive_error_string(library_.get()) : nullptr;
    throw DiskError(fmt::format("{}: cannot write: {}", file_.path().string(),
                                reason == nullptr ? "libarchive failed" : reason));
  }

  hdf5::RawFile file_;
  std::uint64_t end_ = 0;
  std::exception_ptr failure_;
  std::unique_ptr<archive, decltype(&archive_write_free)> library_;
};

/// Magic, version 1.0, length of the text, the text; together a multiple of 64 bytes.
std::string npy_header(const std::string& type, const std::vector<Index>& shape) {
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}",
                                 type, fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
  constexpr std::size_t before = 10;
  while ((before + text.size() + 1) % 64 != 0) text += ' ';
  text += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(text.size() & 0xFFU);
  header += static_cast<char>(text.size() >> 8U);
  return header + text;
}

}  // namespace

void write_npz(const std::filesystem::path& path, const std::vector<ExportedTensor>& tensors,
               const Texts& texts) {
  ZipFile zip(path);
  for (const ExportedTensor& tensor : tensors) {
    const bool is_single = tensor.type == checkpoint::TensorType::float32;
    zip.add(tensor.name + ".npy", npy_header(is_single ? "<f4" : "<f8", tensor.shape),
            tensor.values());
  }
  for (const auto& [name, text] : texts) {
    std::vector<std::byte> letters(4 * text.size());  // 32 bits per letter
    for (std::size_t i = 0; i < text.size(); ++i) letters[4 * i] = static_cast<std::byte>(text[i]);
    zip.add(name + ".npy", npy_header(fmt::format("<U{}", text.size()), {}), letters);
  }
  zip.close();
}

}  // namespace relgrad
