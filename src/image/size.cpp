#include "relgrad/image/size.hpp"

#include <fmt/format.h>

#include <charconv>

#include "relgrad/core/error.hpp"

namespace relgrad {

ImageSize parse_image_size(std::string_view text) {
  constexpr Index largest = 65536;
  ImageSize size;
  const char* end = text.data() + text.size();
  const auto height = std::from_chars(text.data(), end, size.height);
  const bool has_cross = height.ec == std::errc() && height.ptr != end && *height.ptr == 'x';
  const auto width = has_cross ? std::from_chars(height.ptr + 1, end, size.width) : height;
  if (!has_cross || width.ec != std::errc() || width.ptr != end || size.height < 1 ||
      size.width < 1 || size.height > largest || size.width > largest) {
    throw UsageError(
        fmt::format("--size {}: expected HEIGHTxWIDTH in pixels from 1 to {}, as in "
                    "32x32",
                    text, largest));
  }
  return size;
}

}  // namespace relgrad
