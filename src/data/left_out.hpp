#pragma once
/// What a folder or an archive holds and prepare does not read: counted, and told in one line.
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>

namespace relgrad {

class LeftOut {
 public:
  /// A file of another kind: counted by its extension, or as hidden.
  void add_file(const std::filesystem::path& path);
  /// Anything else: "link" and " that leads nowhere".
  void add_other(const std::string& noun, const std::string& rest = "") { ++others_[{noun, rest}]; }
  /// "photos: 22 files left out: 10 .webp, 6 .tif, ...; 1 hidden folder"; nothing if all was read.
  void report(const std::string& where) const;

 private:
  std::map<std::string, std::uint64_t> files_;                           // by extension
  std::map<std::pair<std::string, std::string>, std::uint64_t> others_;  // by noun and rest
};

}  // namespace relgrad
