#pragma once
/// A file read from front to back, plain or gzip (told by its first bytes).
#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace relgrad {

class ScratchFile;

class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path);  // @throws DataError
  /// What was unpacked from `path`, which messages name. @throws DataError
  InputFile(const ScratchFile& content, std::filesystem::path path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::string name() const { return path_.string(); }
  bool is_compressed() const { return compressed_; }
  /// Reads exactly `bytes`; `what` goes into the message. @throws DataError if the file ends
  /// before.
  void read(void* to, std::uint64_t bytes, const std::string& what);
  /// Reads up to `bytes`; returns how many there were. @throws DataError on a truncated .gz.
  std::uint64_t read_some(void* to, std::uint64_t bytes);
  std::uint64_t position() const { return position_; }
  void seek(std::uint64_t position);  // backwards in a .gz reads again from the start
  /// @throws DataError unless nothing is left; also finds a .gz cut inside its checksum.
  void expect_end(const std::string& what);
  /// Bytes of the content: of the file if plain, after one pass of decompression if not.
  std::uint64_t content_bytes();
  /// @throws DataError now, if plain; a .gz is found out by read and expect_end.
  void expect_content_bytes(std::uint64_t expected, const std::string& what) const;

 private:
  void prepare_to_read();

  std::filesystem::path path_;
  std::uint64_t file_bytes_ = 0;  // plain or compressed
  gzFile file_ = nullptr;
  bool compressed_ = false;
  std::uint64_t position_ = 0;
};

}  // namespace relgrad
