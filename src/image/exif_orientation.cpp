#include "image/exif_orientation.hpp"

namespace relgrad {

// "II" or "MM", 42, the offset of the first directory; there: a count, then entries of 12 bytes:
// tag, type, count, value.
int exif_orientation(std::span<const std::uint8_t> tiff) {
  if (tiff.size() < 8 || tiff[0] != tiff[1] || (tiff[0] != 'I' && tiff[0] != 'M')) return 1;
  const bool little = tiff[0] == 'I';
  const auto number = [&](std::size_t at, std::size_t bytes) {  // 0 beyond the end
    std::size_t value = 0;
    if (at > tiff.size() || tiff.size() - at < bytes) return value;
    for (std::size_t i = 0; i < bytes; ++i) {
      value = (value << 8U) | tiff[at + (little ? bytes - 1 - i : i)];
    }
    return value;
  };
  const std::size_t directory = number(4, 4);
  const std::size_t entries = number(directory, 2);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + 12 * i;
    if (entry >= tiff.size()) break;
    if (number(entry, 2) != 0x0112 || number(entry + 2, 2) != 3) continue;
    const std::size_t value = number(entry + 8, 2);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

}  // namespace relgrad
