#pragma once
/// How a camera was held: tag 0x0112 of EXIF, which is a TIFF file in small.
#include <cstdint>
#include <span>

namespace relgrad {

/// 1 to 8 (Exif 2.32, section 4.6.4); 1, upright, where there is none or it makes no sense.
/// @param tiff  from its byte order mark on
int exif_orientation(std::span<const std::uint8_t> tiff);

}  // namespace relgrad
