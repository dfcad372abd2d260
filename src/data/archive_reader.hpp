#pragma once
/// One pass over an archive, by libarchive; gzip is unpacked by zlib, which compares its checksum.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace relgrad {

/// What an archive says of its next member.
struct ArchiveMember {
  enum class Kind { file, hard_link, symbolic_link, folder, other };
  std::string path;
  Kind kind = Kind::file;
  std::string link;            // of the links: the path they name, as stored
  std::uint64_t number = 0;    // of the member, from the first
  std::uint64_t position = 0;  // of its header in the unpacked stream
};

class ArchiveReader {
 public:
  /// @param position  of a member's header, in a plain tar; the first member then is this one
  explicit ArchiveReader(const std::filesystem::path& path, std::uint64_t position = 0);
  ~ArchiveReader();
  ArchiveReader(const ArchiveReader&) = delete;
  ArchiveReader& operator=(const ArchiveReader&) = delete;

  /// The next member; nothing at the end. @throws DataError on damage, and where a tar ends
  /// without its end mark.
  std::optional<ArchiveMember> next();
  /// The next bytes of the member that next() gave last, `most` or all that are left.
  /// @throws DataError.
  std::vector<std::uint8_t> read(std::uint64_t most);
  /// Whether members can be read at their positions; known after next().
  bool is_plain_tar() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace relgrad
