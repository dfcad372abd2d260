#include "data/image_length.hpp"

#include <array>
#include <cctype>
#include <cstddef>

namespace relgrad {

namespace {

using Bytes = std::span<const std::uint8_t>;

/// FF D8, then segments FF KIND LENGTH ..., up to FF DA, the first scan, in whose data FF is
/// stuffed.
bool is_whole_jpeg(Bytes bytes) {
  std::size_t at = 2;
  while (at + 4 <= bytes.size() && bytes[at] == 0xFF && bytes[at + 1] != 0xDA) {
    if (bytes[at + 1] == 0xFF) {  // padding before a marker
      ++at;
    } else {
      at += 2 + (std::size_t{bytes[at + 2]} << 8U | bytes[at + 3]);
    }
  }
  for (; at + 2 <= bytes.size(); ++at) {
    if (bytes[at] == 0xFF && bytes[at + 1] == 0xD9) return true;
  }
  return false;
}

/// P5 (grey) or P6 (colour), then width, height and largest value between white space and comments,
/// one white space, the pixels.
bool is_whole_pnm(Bytes bytes) {
  std::array<std::size_t, 3> numbers{};
  std::size_t at = 2;
  for (std::size_t& number : numbers) {
    while (at < bytes.size() && std::isdigit(bytes[at]) == 0) {
      if (bytes[at] == '#') {
        while (at < bytes.size() && bytes[at] != '\n') ++at;
      } else {
        ++at;
      }
    }
    for (; at < bytes.size() && std::isdigit(bytes[at]) != 0; ++at) {
      number = number * 10 + (bytes[at] - std::size_t{'0'});
      if (number > (std::size_t{1} << 24U)) return false;  // the decoder's limit, too
    }
  }
  const auto [width, height, largest] = numbers;
  const std::size_t pixel_bytes = (bytes[1] == '6' ? 3U : 1U) * (largest > 255 ? 2U : 1U);
  return at < bytes.size() && bytes.size() - at - 1 >= width * height * pixel_bytes;
}

}  // namespace

bool is_whole_image(Bytes bytes) {
  if (bytes.size() < 4) return false;
  if (bytes[0] == 0xFF && bytes[1] == 0xD8) return is_whole_jpeg(bytes);
  if (bytes[0] == 'P' && (bytes[1] == '5' || bytes[1] == '6')) return is_whole_pnm(bytes);
  return true;
}

}  // namespace relgrad
