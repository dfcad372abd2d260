#pragma once
/// Is an image file all there? Versions of stb_image fill what a cut JPEG, PGM or PPM lacks without
/// a word.
#include <cstdint>
#include <span>

namespace relgrad {

/// JPEG: an end-of-image marker follows the first scan. PGM, PPM: the pixels the header promises
/// are there. Others, which the decoder checks itself: true.
bool is_whole_image(std::span<const std::uint8_t> bytes);

}  // namespace relgrad
