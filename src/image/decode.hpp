#pragma once
/// One image file in memory becomes 8-bit planes of the wanted size.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "relgrad/image/size.hpp"

namespace relgrad {

struct ImageHeader {
  ImageSize size;            // as decoded: after the turn that EXIF asks for
  int channels = 0;          // 1 grey, 2 grey + alpha, 3 colour, 4 colour + alpha
  bool has_16_bits = false;  // a channel; decoding keeps 8
  int orientation = 1;       // of EXIF: 1 is upright
};

/// From the first bytes of a PNG, JPEG, PBM, PGM or PPM; nothing if they are too few or no image.
std::optional<ImageHeader> image_header(std::span<const std::uint8_t> bytes);

/// An 8-bit image, interleaved: pixels[(y * width + x) * channels + c].
struct Image {
  ImageSize size;
  int channels = 0;
  std::vector<std::uint8_t> pixels;
};

/// Upright (EXIF orientation applied), without alpha.
/// @param channels 1 or 3. @throws DataError with `name` and the reason.
Image decode_image(std::span<const std::uint8_t> bytes, int channels, const std::string& name);

/// Grey is 0.30 red + 0.59 green + 0.11 blue, in 256ths, rounded down. @param channels 1 or 3.
Image with_channels(Image image, int channels);

/// The image that shows `image` upright. @param orientation  1 to 8, as in EXIF (tag 0x0112).
Image turned_upright(Image image, int orientation);

/// The largest centred part with the aspect ratio of `size`, resampled to `size`: each output pixel
/// is the mean over its area when shrinking, linear interpolation when growing.
Image crop_and_resize(const Image& image, const ImageSize& size);

/// planes[(c * height + y) * width + x].
void to_planes(const Image& image, std::uint8_t* planes);

}  // namespace relgrad
