#pragma once
/// One image file in memory becomes 8-bit planes of the wanted size.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "relgrad/data/prepare.hpp"

namespace relgrad {

struct ImageHeader {
  ImageSize size;
  int channels = 0;  // 1 grey, 2 grey + alpha, 3 colour, 4 colour + alpha
};

/// From the first bytes of a PNG, JPEG, PGM or PPM; nothing if they are too few or no image.
std::optional<ImageHeader> image_header(std::span<const std::uint8_t> bytes);

/// An 8-bit image, interleaved: pixels[(y * width + x) * channels + c].
struct Image {
  ImageSize size;
  int channels = 0;
  std::vector<std::uint8_t> pixels;
};

/// Alpha is dropped. @param channels 1 or 3. @throws DataError with `name`.
Image decode_image(std::span<const std::uint8_t> bytes, int channels, const std::string& name);

/// The largest centred part with the aspect ratio of `size`, resampled to `size`: each output pixel
/// is the mean over its area when shrinking, linear interpolation when growing.
Image crop_and_resize(const Image& image, const ImageSize& size);

/// planes[(c * height + y) * width + x].
void to_planes(const Image& image, std::uint8_t* planes);

}  // namespace relgrad
