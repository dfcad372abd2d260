/// netpbm.sourceforge.net/doc/pgm.html: "P", a digit, width, height and (but for bitmaps) the
/// largest value, in ASCII between white space and comments, then one white space and the pixels:
/// bits, bytes, big-endian pairs of bytes, or (plain) decimal numbers.
#include <fmt/format.h>

#include <cmath>

#include "image/kinds.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad::pnm {

namespace {

bool is_space(std::uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_digit(std::uint8_t c) { return c >= '0' && c <= '9'; }

class Parser {
 public:
  explicit Parser(ImageBytes bytes) : bytes_(bytes) {}
  std::size_t at() const { return at_; }
  bool at_end() const { return at_ == bytes_.size(); }

  void skip_space_and_comments() {
    while (!at_end() && (is_space(bytes_[at_]) || bytes_[at_] == '#')) {
      if (bytes_[at_] == '#') {
        while (!at_end() && bytes_[at_] != '\n' && bytes_[at_] != '\r') ++at_;
      } else {
        ++at_;
      }
    }
  }

  /// A decimal number after white space. @throws DataError.
  std::uint64_t number(const char* what, std::uint64_t most) {
    skip_space_and_comments();
    if (at_end()) throw DataError(fmt::format("truncated: it ends before its {}", what));
    if (!is_digit(bytes_[at_])) throw DataError(fmt::format("its {} is no number", what));
    std::uint64_t value = 0;
    for (; !at_end() && is_digit(bytes_[at_]); ++at_) {
      value = value * 10 + (bytes_[at_] - std::uint64_t{'0'});
      if (value > most) throw DataError(fmt::format("its {} is above {}", what, most));
    }
    return value;
  }

  /// The next byte that is not white space: bits of a plain bitmap need no space between them.
  std::uint8_t mark() {
    skip_space_and_comments();
    if (at_end()) throw DataError("truncated: too few pixels");
    return bytes_[at_++];
  }

  void one_space() {
    if (at_end() || !is_space(bytes_[at_])) throw DataError("no white space after its header");
    ++at_;
  }

  /// The next `count` bytes. @throws DataError.
  ImageBytes take(std::uint64_t count) {
    if (count > bytes_.size() - at_) {
      throw DataError(fmt::format("truncated: {} bytes of pixels expected, {} are there", count,
                                  bytes_.size() - at_));
    }
    const ImageBytes taken = bytes_.subspan(at_, count);
    at_ += count;
    return taken;
  }

  /// Another image after this one would be lost without a word.
  void expect_no_second_image() {
    while (!at_end() && is_space(bytes_[at_])) ++at_;
    if (bytes_.size() - at_ >= 3 && bytes_[at_] == 'P' && is_digit(bytes_[at_ + 1]) &&
        is_space(bytes_[at_ + 2])) {
      throw DataError("a second image follows the first; keep one image per file");
    }
  }

 private:
  ImageBytes bytes_;
  std::size_t at_ = 2;  // after "P" and the digit
};

struct Header {
  bool is_plain = false;
  bool is_bitmap = false;
  Index channels = 1;
  std::uint64_t height = 0;
  std::uint64_t width = 0;
  std::uint64_t largest = 1;
};

Header read_header(int digit, Parser& parser) {
  constexpr std::uint64_t largest_side = std::uint64_t{1} << 24U;
  Header header;
  header.is_plain = digit <= 3;
  header.is_bitmap = digit == 1 || digit == 4;
  header.channels = digit == 3 || digit == 6 ? 3 : 1;
  header.width = parser.number("width", largest_side);
  header.height = parser.number("height", largest_side);
  if (!header.is_bitmap) {
    header.largest = parser.number("largest value", 65535);
    if (header.largest == 0) throw DataError("its largest value is 0");
  }
  if (header.height == 0 || header.width == 0) {
    throw DataError(
        fmt::format("{}x{} (height x width) is no size of an image", header.height, header.width));
  }
  return header;
}

/// level[v] = 255 v / largest, rounded as Pillow does: the quotient first, halves to even.
std::vector<std::uint8_t> levels_of(std::uint64_t largest) {
  std::vector<std::uint8_t> levels;
  for (std::uint64_t v = 0; v <= largest; ++v) {
    const double scaled = static_cast<double>(v) / static_cast<double>(largest) * 255.0;
    levels.push_back(static_cast<std::uint8_t>(std::nearbyint(scaled)));
  }
  return levels;
}

std::uint8_t level_of(const std::vector<std::uint8_t>& levels, std::uint64_t value) {
  if (value < levels.size()) return levels[value];
  throw DataError(
      fmt::format("a pixel is {}, above its largest value {}", value, levels.size() - 1));
}

/// 1 is black.
std::uint8_t bit_level(bool is_black) { return is_black ? 0 : 255; }

void read_bitmap(const Header& header, Parser& parser, std::vector<std::uint8_t>& pixels) {
  for (std::uint64_t y = 0; y < header.height; ++y) {
    const ImageBytes row = header.is_plain ? ImageBytes{} : parser.take((header.width + 7) / 8);
    for (std::uint64_t x = 0; x < header.width; ++x) {
      if (header.is_plain) {
        const std::uint8_t mark = parser.mark();
        if (mark != '0' && mark != '1') throw DataError("a pixel of a bitmap is neither 0 nor 1");
        pixels.push_back(bit_level(mark == '1'));
      } else {
        pixels.push_back(bit_level((row[x / 8] >> (7 - x % 8) & 1U) != 0));
      }
    }
  }
}

void read_values(const Header& header, Parser& parser, std::vector<std::uint8_t>& pixels) {
  const std::vector<std::uint8_t> levels = levels_of(header.largest);
  const std::uint64_t count = header.height * header.width * static_cast<unsigned>(header.channels);
  if (header.is_plain) {
    for (std::uint64_t i = 0; i < count; ++i) {
      pixels.push_back(level_of(levels, parser.number("pixels", 65535)));
    }
  } else if (header.largest < 256) {
    for (const std::uint8_t value : parser.take(count)) {
      pixels.push_back(level_of(levels, value));
    }
  } else {
    const ImageBytes pairs = parser.take(2 * count);
    for (std::uint64_t i = 0; i < count; ++i) {
      pixels.push_back(level_of(levels, (std::uint64_t{pairs[2 * i]} << 8U) | pairs[2 * i + 1]));
    }
  }
}

}  // namespace

std::optional<ImageHeader> header(ImageBytes bytes) {
  try {
    Parser parser(bytes);
    const Header header = read_header(bytes[1] - '0', parser);
    if (parser.at_end()) return std::nullopt;  // its last number may go on
    return ImageHeader{{static_cast<Index>(header.height), static_cast<Index>(header.width)},
                       static_cast<int>(header.channels),
                       header.largest > 255};
  } catch (const DataError&) {
    return std::nullopt;
  }
}

Image decode(ImageBytes bytes) {
  Parser parser(bytes);
  const Header header = read_header(bytes[1] - '0', parser);
  check_pixel_claim(header.height, header.width, bytes.size());
  if (!header.is_plain) parser.one_space();
  Image image{{static_cast<Index>(header.height), static_cast<Index>(header.width)},
              static_cast<int>(header.channels),
              {}};
  if (header.is_bitmap) {
    read_bitmap(header, parser, image.pixels);
  } else {
    read_values(header, parser, image.pixels);
  }
  parser.expect_no_second_image();
  return image;
}

}  // namespace relgrad::pnm
