/// tar archives: 512-byte headers and contents padded to 512 (POSIX pax interchange format, ustar),
/// with GNU long names and pax paths and sizes.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "data/image_store.hpp"
#include "data/input_file.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t block_bytes = 512;
using Header = std::array<char, block_bytes>;

struct Member {
  std::string path;
  std::uint64_t offset;
  std::uint64_t bytes;
};

/// A text field: up to its end or a zero.
std::string text_field(const Header& header, std::size_t offset, std::size_t length) {
  const char* begin = header.data() + offset;
  return {begin, ::strnlen(begin, length)};
}

/// Octal digits, or (GNU, above 8 GiB) a big-endian number after a byte 0x80.
std::uint64_t number_field(const Header& header, std::size_t offset, std::size_t length) {
  std::uint64_t value = 0;
  if (static_cast<std::uint8_t>(header[offset]) == 0x80) {
    for (std::size_t i = 1; i < length; ++i) {
      value = (value << 8U) | static_cast<std::uint8_t>(header[offset + i]);
    }
    return value;
  }
  for (std::size_t i = 0; i < length; ++i) {
    const char digit = header[offset + i];
    if (digit >= '0' && digit <= '7') value = value * 8 + static_cast<std::uint64_t>(digit - '0');
  }
  return value;
}

/// The header's own checksum: the sum of its bytes with the checksum field taken as blanks.
bool checksum_holds(const Header& header) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < header.size(); ++i) {
    sum += i >= 148 && i < 156 ? std::uint64_t{' '} : static_cast<std::uint8_t>(header[i]);
  }
  return sum == number_field(header, 148, 8);
}

/// The value of `key` among the records "LENGTH KEY=VALUE\n" of a pax header, or "".
std::string pax_value(const std::string& records, const std::string& key) {
  std::size_t begin = 0;
  while (begin < records.size()) {
    const std::size_t blank = records.find(' ', begin);
    if (blank == std::string::npos) break;
    const std::size_t length = std::strtoull(records.c_str() + begin, nullptr, 10);
    if (length <= blank - begin + 1 || length > records.size() - begin) break;
    const std::string record = records.substr(blank + 1, begin + length - blank - 2);
    if (record.starts_with(key + "=")) return record.substr(key.size() + 1);
    begin += length;
  }
  return "";
}

class Tar final : public ImageStore {
 public:
  explicit Tar(const fs::path& path) : file_(path) {
    list();
    if (members_.empty()) {
      throw DataError(
          fmt::format("{}: no images in this archive; expected .png, .jpg, .jpeg, .pgm "
                      "or .ppm files",
                      file_.name()));
    }
    if (!file_.is_compressed()) {
      std::sort(members_.begin(), members_.end(),
                [](const Member& a, const Member& b) { return a.path < b.path; });
    }
  }

  std::uint64_t count() const override { return members_.size(); }
  std::string name(std::uint64_t i) const override {
    return fmt::format("{}: {}", file_.name(), members_[i].path);
  }

  std::vector<std::uint8_t> read(std::uint64_t i, std::uint64_t most) override {
    file_.seek(members_[i].offset);
    std::vector<std::uint8_t> bytes(std::min(members_[i].bytes, most));
    file_.read(bytes.data(), bytes.size(), members_[i].path);
    return bytes;
  }

 private:
  /// Finds the images; one pass over the headers.
  void list() {
    const std::uint64_t content_bytes = file_.content_bytes();
    Header header{};
    std::string long_path;
    std::string pax;
    while (file_.position() + block_bytes <= content_bytes) {
      file_.read(header.data(), header.size(), "a tar header");
      if (std::all_of(header.begin(), header.end(), [](char c) { return c == 0; })) return;  // end
      if (!checksum_holds(header)) {
        throw DataError(fmt::format("{}: no tar header at byte {}: damaged or not a tar archive",
                                    file_.name(), file_.position() - block_bytes));
      }
      const std::string pax_size = pax_value(pax, "size");
      const std::uint64_t bytes = pax_size.empty() ? number_field(header, 124, 12)
                                                   : std::strtoull(pax_size.c_str(), nullptr, 10);
      const std::uint64_t offset = file_.position();
      const char kind = header[156];
      if (bytes > content_bytes - offset) {
        throw DataError(
            fmt::format("{}: truncated: a member needs bytes {} to {}, the content has "
                        "{}; copy it again",
                        file_.name(), offset, offset + bytes, content_bytes));
      }
      if (kind == 'L' || kind == 'x') {
        (kind == 'L' ? long_path : pax) = read_text(bytes);
      } else if (kind != 'g' && kind != 'K') {
        const std::string path = member_path(header, long_path, pax);
        if ((kind == '0' || kind == '\0') && is_image_name(path)) {
          members_.push_back({path, offset, bytes});
        }
        long_path.clear();
        pax.clear();
      }
      file_.seek(offset + (bytes + block_bytes - 1) / block_bytes * block_bytes);
    }
    throw DataError(file_.name() + ": truncated: no end-of-archive mark; copy it again");
  }

  std::string read_text(std::uint64_t bytes) {
    if (bytes > (std::uint64_t{1} << 20U)) {
      throw DataError(fmt::format("{}: a name of {} bytes: damaged", file_.name(), bytes));
    }
    std::string text(bytes, '\0');
    file_.read(text.data(), bytes, "a tar name");
    return text;
  }

  static std::string member_path(const Header& header, const std::string& long_path,
                                 const std::string& pax) {
    const std::string pax_path = pax_value(pax, "path");
    if (!pax_path.empty()) return pax_path;
    if (!long_path.empty()) return long_path.c_str();  // without the zero at its end
    const std::string prefix = text_field(header, 345, 155);
    const bool is_ustar = std::memcmp(header.data() + 257, "ustar\0", 6) == 0;  // GNU has none
    const std::string name = text_field(header, 0, 100);
    return is_ustar && !prefix.empty() ? prefix + "/" + name : name;
  }

  InputFile file_;
  std::vector<Member> members_;
};

}  // namespace

std::unique_ptr<ImageStore> open_tar(const fs::path& path) { return std::make_unique<Tar>(path); }

}  // namespace relgrad
