#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <charconv>
#include <cstring>
#include <utility>

#include "data/array_header.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

std::string read_dictionary(InputFile& file) {
  std::array<std::uint8_t, 8> start{};
  file.read(start.data(), start.size(), "the npy header");
  if (std::memcmp(start.data(), "\x93NUMPY", 6) != 0) {
    throw DataError(file.name() + ": not an .npy file; write it with numpy.save");
  }
  if (start[6] < 1 || start[6] > 3) {
    throw DataError(fmt::format("{}: npy version {}, expected 1 to 3", file.name(), start[6]));
  }
  const std::size_t length_bytes = start[6] == 1 ? 2 : 4;
  std::array<std::uint8_t, 4> word{};
  file.read(word.data(), length_bytes, "the npy header");
  std::size_t length = 0;
  for (std::size_t i = length_bytes; i-- > 0;) length = (length << 8U) | word[i];
  if (length > (std::size_t{1} << 20U)) {
    throw DataError(fmt::format("{}: npy header of {} bytes: damaged", file.name(), length));
  }
  std::string dictionary(length, '\0');
  file.read(dictionary.data(), length, "the npy header");
  return dictionary;
}

/// The few Python literals that numpy writes. @throws DataError at anything else: a header that is
/// half understood gives scrambled values.
class LiteralParser {
 public:
  LiteralParser(std::string name, const std::string& text) : name_(std::move(name)), text_(text) {}

  ArrayHeader header() {
    ArrayHeader result;
    bool has_order = false;
    bool has_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr") {
        result.type_name = quoted();
      } else if (key == "fortran_order") {
        result.is_fortran_order = truth();
        has_order = true;
      } else if (key == "shape") {
        result.shape = tuple();
        has_shape = true;
      } else {
        fail();
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (at_ != text_.size() || result.type_name.empty() || !has_order || !has_shape) fail();
    return result;
  }

 private:
  [[noreturn]] void fail() const {
    std::string text = text_;
    while (!text.empty() && (text.back() == ' ' || text.back() == '\n')) text.pop_back();
    throw DataError(fmt::format(
        "{}: its npy header is not that of one plain array ({:.200}); save one with numpy.save",
        name_, text));
  }

  void skip_space() {
    while (at_ < text_.size() && std::strchr(" \t\r\n\f\v", text_[at_]) != nullptr &&
           text_[at_] != '\0') {
      ++at_;
    }
  }
  bool accept(char wanted) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  void expect(char wanted) {
    if (!accept(wanted)) fail();
  }

  std::string quoted() {
    const char quote = accept('\'') ? '\'' : '"';
    if (quote == '"') expect('"');
    const std::size_t end = text_.find(quote, at_);
    if (end == std::string::npos) fail();
    const std::string value = text_.substr(at_, end - at_);
    at_ = end + 1;
    if (value.empty() || value.find('\\') != std::string::npos) fail();
    return value;
  }

  bool truth() {
    skip_space();
    for (const std::string_view word : {"True", "False"}) {
      if (text_.compare(at_, word.size(), word) != 0) continue;
      at_ += word.size();
      return word == "True";
    }
    fail();
  }

  /// "(3, 4)", "(3,)", "()", and "(3L, 4L)" of Python 2.
  std::vector<std::uint64_t> tuple() {
    std::vector<std::uint64_t> values;
    expect('(');
    while (!accept(')')) {
      skip_space();
      std::uint64_t value = 0;
      const char* const end = text_.data() + text_.size();
      const auto [next, error] = std::from_chars(text_.data() + at_, end, value);
      if (error != std::errc()) fail();
      at_ = static_cast<std::size_t>(next - text_.data());
      if (at_ < text_.size() && text_[at_] == 'L') ++at_;
      values.push_back(value);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return values;
  }

  std::string name_;
  const std::string& text_;
  std::size_t at_ = 0;
};

/// "<f4": byte order (absent, native or none is little), kind, bytes.
void parse_type(ArrayHeader& header) {
  std::string_view text = header.type_name;
  if (text == "?") text = "b1";
  if (std::strchr("<>=|", text.front()) != nullptr) {
    header.is_big_endian = text.front() == '>';
    text.remove_prefix(1);
  }
  if (text.size() != 2) return;
  const char kind = text[0];
  const auto bytes = static_cast<std::size_t>(text[1] - '0');
  const bool is_integer =
      (kind == 'i' || kind == 'u') && (bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8);
  const bool is_real = kind == 'f' && (bytes == 2 || bytes == 4 || bytes == 8);
  if (is_integer || is_real || (kind == 'b' && bytes == 1)) {
    header.kind = kind;
    header.element_bytes = bytes;
  }
}

}  // namespace

std::string npy_header(const std::string& type, const std::vector<std::uint64_t>& shape) {
  const std::string dictionary =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({},), }}\n", type,
                  fmt::join(shape, ", "));
  std::string bytes = "\x93NUMPY";
  bytes += {'\x01', '\0', static_cast<char>(dictionary.size() % 256),
            static_cast<char>(dictionary.size() / 256)};
  return bytes + dictionary;
}

ArrayHeader read_npy_header(InputFile& file) {
  const std::string dictionary = read_dictionary(file);
  ArrayHeader header = LiteralParser(file.name(), dictionary).header();
  header.format = "npy";
  parse_type(header);
  return header;
}

}  // namespace relgrad
