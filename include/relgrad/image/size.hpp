#pragma once
/// Sizes of images.
#include <string_view>

#include "relgrad/core/types.hpp"

namespace relgrad {

/// Height and width in pixels.
struct ImageSize {
  Index height = 0;
  Index width = 0;
};
/// "28x28" -> {28, 28}. @throws UsageError naming the text and the form expected.
ImageSize parse_image_size(std::string_view text);

}  // namespace relgrad
