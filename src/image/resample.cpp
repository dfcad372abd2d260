#include <algorithm>
#include <cmath>
#include <utility>

#include "image/decode.hpp"

namespace relgrad {

Image with_channels(Image image, int channels) {
  if (image.channels == channels) return image;
  Image result{image.size, channels, {}};
  const std::vector<std::uint8_t>& from = image.pixels;
  if (channels == 1) {
    result.pixels.reserve(from.size() / 3);
    for (std::size_t i = 0; i + 2 < from.size(); i += 3) {
      const unsigned grey = 77U * from[i] + 150U * from[i + 1] + 29U * from[i + 2];
      result.pixels.push_back(static_cast<std::uint8_t>(grey >> 8U));
    }
  } else {
    result.pixels.reserve(from.size() * 3);
    for (const std::uint8_t grey : from) result.pixels.insert(result.pixels.end(), 3, grey);
  }
  return result;
}

// Where the stored row 0 and column 0 are seen: 1 top left, 2 top right, 3 bottom right, 4 bottom
// left; 5 left top, 6 right top, 7 right bottom, 8 left bottom (rows and columns change places).
Image turned_upright(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  const bool swaps = orientation >= 5;
  const bool row_0_is_last = orientation == 3 || orientation == 4 || orientation == 6 ||
                             orientation == 7;  // bottom, or right
  const bool column_0_is_last = orientation == 2 || orientation == 3 || orientation == 7 ||
                                orientation == 8;  // right, or bottom
  const ImageSize stored = image.size;
  Image result{swaps ? ImageSize{stored.width, stored.height} : stored, image.channels, {}};
  result.pixels.reserve(image.pixels.size());
  for (Index y = 0; y < result.size.height; ++y) {
    for (Index x = 0; x < result.size.width; ++x) {
      const Index row = swaps ? x : y;
      const Index column = swaps ? y : x;
      const Index from = (row_0_is_last ? stored.height - 1 - row : row) * stored.width +
                         (column_0_is_last ? stored.width - 1 - column : column);
      for (Index c = 0; c < image.channels; ++c) {
        result.pixels.push_back(image.pixels[static_cast<std::size_t>(from * image.channels + c)]);
      }
    }
  }
  return result;
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
