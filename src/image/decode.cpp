#include "image/decode.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "image/kinds.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

enum class Kind { png, jpeg, pnm, unknown };

Kind kind_of(ImageBytes bytes) {
  constexpr std::uint8_t png_signature[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
  if (bytes.size() >= 8 && std::equal(bytes.begin(), bytes.begin() + 8, png_signature)) {
    return Kind::png;
  }
  if (bytes.size() >= 3 && bytes[0] == 0xFF && bytes[1] == 0xD8 && bytes[2] == 0xFF) {
    return Kind::jpeg;
  }
  if (bytes.size() >= 3 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '6') return Kind::pnm;
  return Kind::unknown;
}

std::optional<ImageHeader> stored_header(ImageBytes bytes) {
  switch (kind_of(bytes)) {
    case Kind::png:
      return png::header(bytes);
    case Kind::jpeg:
      return jpeg::header(bytes);
    case Kind::pnm:
      return pnm::header(bytes);
    case Kind::unknown:
      break;
  }
  return std::nullopt;
}

Image decode_stored(ImageBytes bytes) {
  switch (kind_of(bytes)) {
    case Kind::png:
      return png::decode(bytes);
    case Kind::jpeg:
      return jpeg::decode(bytes);
    case Kind::pnm:
      return pnm::decode(bytes);
    case Kind::unknown:
      break;
  }
  throw DataError("not a PNG, JPEG, PBM, PGM or PPM image");
}

}  // namespace

void check_pixel_claim(std::uint64_t height, std::uint64_t width, std::uint64_t file_bytes) {
  constexpr std::uint64_t largest_side = std::uint64_t{1} << 24U;
  if (height == 0 || width == 0) {
    throw DataError(fmt::format("{}x{} (height x width) is no size of an image", height, width));
  }
  if (height > largest_side || width > largest_side ||
      height * width / 8400 > file_bytes + 64) {  // 64: for the smallest files
    throw DataError(
        fmt::format("its header claims {}x{} pixels (height x width), which its {} "
                    "bytes cannot hold",
                    height, width, file_bytes));
  }
}

std::optional<ImageHeader> image_header(ImageBytes bytes) {
  std::optional<ImageHeader> header = stored_header(bytes);
  if (header && header->orientation >= 5) std::swap(header->size.height, header->size.width);
  return header;
}

Image decode_image(ImageBytes bytes, int channels, const std::string& name) {
  try {
    Image image = with_channels(decode_stored(bytes), channels);
    const std::optional<ImageHeader> header = stored_header(bytes);
    return turned_upright(std::move(image), header ? header->orientation : 1);
  } catch (const DataError& error) {
    throw DataError(fmt::format("{}: damaged image: {}; replace or remove it", name, error.what()));
  }
}

}  // namespace relgrad
