#include "data/image_decode.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "data/image_length.hpp"
#include "relgrad/core/error.hpp"

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_NO_STDIO
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNM
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#endif
#include <stb/stb_image.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

namespace relgrad {

std::optional<ImageHeader> image_header(std::span<const std::uint8_t> bytes) {
  int width = 0;
  int height = 0;
  int channels = 0;
  if (stbi_info_from_memory(bytes.data(), static_cast<int>(bytes.size()), &width, &height,
                            &channels) == 0) {
    return std::nullopt;
  }
  return ImageHeader{{height, width}, channels};
}

Image decode_image(std::span<const std::uint8_t> bytes, int channels, const std::string& name) {
  if (!is_whole_image(bytes)) {
    throw DataError(fmt::format("{}: damaged image: truncated; replace or remove it", name));
  }
  int width = 0;
  int height = 0;
  int channels_in_file = 0;
  const std::unique_ptr<stbi_uc, void (*)(void*)> decoded(
      stbi_load_from_memory(bytes.data(), static_cast<int>(bytes.size()), &width, &height,
                            &channels_in_file, channels),
      &stbi_image_free);
  if (decoded == nullptr) {
    throw DataError(
        fmt::format("{}: damaged image: {}; replace or remove it", name, stbi_failure_reason()));
  }
  Image image{{height, width}, channels, {}};
  const auto count = static_cast<std::size_t>(height) * static_cast<std::size_t>(width) *
                     static_cast<std::size_t>(channels);
  image.pixels.assign(decoded.get(), decoded.get() + count);
  return image;
}

namespace {

/// Output pixel i is sum_j weights[j] * input[first + j].
struct Taps {
  Index first = 0;
  std::vector<double> weights;
};

/// Taps along one axis that bring input positions [begin, begin + length) to `count` outputs.
std::vector<Taps> make_taps(double begin, double length, Index count, Index limit) {
  const double step = length / static_cast<double>(count);
  std::vector<Taps> taps(static_cast<std::size_t>(count));
  for (Index i = 0; i < count; ++i) {
    // Shrinking: the input interval under the pixel, weighted by overlap. Growing: a triangle of
    // width 2 around the pixel's centre, which is linear interpolation.
    const double centre = begin + (static_cast<double>(i) + 0.5) * step;
    const double reach = step >= 1.0 ? step / 2 : 1.0;
    const auto weight = [&](Index j) {
      if (step < 1.0) return 1.0 - std::abs(static_cast<double>(j) + 0.5 - centre);
      return std::min(static_cast<double>(j + 1), centre + reach) -
             std::max(static_cast<double>(j), centre - reach);
    };
    Taps& tap = taps[static_cast<std::size_t>(i)];
    tap.first = std::clamp<Index>(static_cast<Index>(std::floor(centre - reach)), 0, limit - 1);
    const Index last = std::min(limit - 1, static_cast<Index>(std::ceil(centre + reach)));
    double sum = 0;
    for (Index j = tap.first; j <= last; ++j) {
      tap.weights.push_back(std::max(0.0, weight(j)));
      sum += tap.weights.back();
    }
    for (double& w : tap.weights) w /= sum;
  }
  return taps;
}

}  // namespace

Image crop_and_resize(const Image& image, const ImageSize& size) {
  const auto height = static_cast<double>(image.size.height);
  const auto width = static_cast<double>(image.size.width);
  const double scale =
      std::min(height / static_cast<double>(size.height), width / static_cast<double>(size.width));
  const double used_height = scale * static_cast<double>(size.height);
  const double used_width = scale * static_cast<double>(size.width);
  const auto rows =
      make_taps((height - used_height) / 2, used_height, size.height, image.size.height);
  const auto columns =
      make_taps((width - used_width) / 2, used_width, size.width, image.size.width);
  Image result{size, image.channels, {}};
  const Index channels = image.channels;
  std::vector<double> line(static_cast<std::size_t>(image.size.width * channels));
  for (const Taps& row : rows) {
    std::fill(line.begin(), line.end(), 0.0);
    for (std::size_t j = 0; j < row.weights.size(); ++j) {
      const std::uint8_t* in =
          image.pixels.data() + (row.first + static_cast<Index>(j)) * image.size.width * channels;
      for (std::size_t k = 0; k < line.size(); ++k) line[k] += row.weights[j] * in[k];
    }
    for (const Taps& column : columns) {
      for (Index c = 0; c < channels; ++c) {
        double value = 0;
        for (std::size_t j = 0; j < column.weights.size(); ++j) {
          const Index x = column.first + static_cast<Index>(j);
          value += column.weights[j] * line[static_cast<std::size_t>(x * channels + c)];
        }
        result.pixels.push_back(static_cast<std::uint8_t>(std::clamp(value + 0.5, 0.0, 255.0)));
      }
    }
  }
  return result;
}

void to_planes(const Image& image, std::uint8_t* planes) {
  const Index pixels = image.size.height * image.size.width;
  for (Index c = 0; c < image.channels; ++c) {
    for (Index i = 0; i < pixels; ++i) {
      planes[c * pixels + i] = image.pixels[static_cast<std::size_t>(i * image.channels + c)];
    }
  }
}

}  // namespace relgrad
