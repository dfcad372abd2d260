#pragma once
/// A file without a name, gone with the process: room for what is read more than once.
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace relgrad {

class ScratchFile {
 public:
  /// @param folder  where it takes space; empty: the system's place. @throws DiskError
  explicit ScratchFile(const std::filesystem::path& folder);
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  std::uint64_t size() const { return size_; }
  void append(std::span<const std::uint8_t> bytes);  // @throws DiskError
  /// Another descriptor of it, which the caller closes, to be read from the start. @throws
  /// DiskError
  int descriptor_from_start() const;
  void read_at(std::uint64_t offset, std::span<std::uint8_t> to) const;  // @throws DiskError

 private:
  std::string folder_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace relgrad
