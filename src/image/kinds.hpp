#pragma once
/// The kinds of image files, one .cpp each; decode.cpp chooses among them. `decode` throws
/// DataError with the reason alone: decode.cpp adds the file.
#include "image/decode.hpp"

namespace relgrad {

using ImageBytes = std::span<const std::uint8_t>;

/// libpng: the CRC-32 of every chunk is compared; 16 bits become their upper 8, alpha is dropped.
namespace png {
std::optional<ImageHeader> header(ImageBytes bytes);
Image decode(ImageBytes bytes);
}  // namespace png

/// libjpeg: what its decoder merely warns of (data that end early or make no sense) is an error
/// here. JPEG has no checksum: a flipped bit that leaves valid codes is not found.
namespace jpeg {
std::optional<ImageHeader> header(ImageBytes bytes);
Image decode(ImageBytes bytes);
}  // namespace jpeg

/// PBM, PGM and PPM, plain (P1 to P3) and raw (P4 to P6), with any largest value to 65535; scaled
/// to 0 ... 255 with the rounding of Pillow.
namespace pnm {
std::optional<ImageHeader> header(ImageBytes bytes);
Image decode(ImageBytes bytes);
}  // namespace pnm

/// @throws DataError where so few bytes cannot hold so many pixels: nothing is allocated by the
/// claim of a header alone. 8256 pixels a byte is the most that a 1-bit PNG packs (deflate: 1032
/// bytes a byte); no JPEG holds more.
void check_pixel_claim(std::uint64_t height, std::uint64_t width, std::uint64_t file_bytes);

}  // namespace relgrad
