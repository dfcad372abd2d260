#include "run/image_grid.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

#include "relgrad/core/escaped.hpp"
#include "relgrad/core/files.hpp"

#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace relgrad {

namespace {

constexpr Index gap = 2;  // pixels

struct Grid {
  Index zoom;
  Index columns;
  Index total_width;   // pixels
  Index total_height;  // pixels
};

/// @param shape  {C, H, W}, each at least 1
Grid grid_of(const std::vector<Index>& shape, Index count) {
  Grid grid{};
  grid.zoom = std::max<Index>(1, 56 / std::max(shape[1], shape[2]));
  grid.columns = static_cast<Index>(std::ceil(std::sqrt(static_cast<double>(count))));
  const Index rows = (count + grid.columns - 1) / grid.columns;
  grid.total_width = grid.columns * (shape[2] * grid.zoom + gap) + gap;
  grid.total_height = rows * (shape[1] * grid.zoom + gap) + gap;
  return grid;
}

}  // namespace

void check_image_grid(const std::vector<Index>& shape, Index count) {
  if (shape.size() != 3 || (shape[0] != 1 && shape[0] != 3)) {
    throw UsageError(
        "--output: only grey or colour images make a PNG; name a file that ends in .h5");
  }
  constexpr double most_bytes = 512.0 * 1024 * 1024;
  const Grid grid = grid_of(shape, count);
  const double bytes = static_cast<double>(shape[0]) * static_cast<double>(grid.total_width) *
                       static_cast<double>(grid.total_height);
  if (bytes > most_bytes) {
    throw UsageError(fmt::format(
        "--count: a picture of {} samples takes {:.0f} MiB, more than 512; draw fewer, or name a "
        "file that ends in .h5",
        count, bytes / (1024 * 1024)));
  }
}

std::string image_grid_png(const Matrix<double>& values, const std::vector<Index>& shape) {
  check_image_grid(shape, values.cols());
  const Index channels = shape[0];
  const Index height = shape[1];
  const Index width = shape[2];
  check_size("image_grid_png", "rows", values.rows(), channels * height * width);

  const auto [zoom, columns, total_width, total_height] = grid_of(shape, values.cols());
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(total_width * total_height * channels),
                                   255);
  for (Index n = 0; n < values.cols(); ++n) {
    const Index top = gap + n / columns * (height * zoom + gap);
    const Index left = gap + n % columns * (width * zoom + gap);
    for (Index y = 0; y < height * zoom; ++y) {
      for (Index x = 0; x < width * zoom; ++x) {
        for (Index c = 0; c < channels; ++c) {
          const double value = values(c * height * width + y / zoom * width + x / zoom, n);
          const Index at = ((top + y) * total_width + left + x) * channels + c;
          pixels[static_cast<std::size_t>(at)] =
              static_cast<std::uint8_t>(std::clamp(std::floor(value), 0.0, 255.0));
        }
      }
    }
  }
  const auto narrow = [](Index value) { return static_cast<int>(value); };
  std::string png;  // in memory: a file that stb writes may be cut by a full disk without a word
  const auto append = [](void* text, void* data, int bytes) {
    static_cast<std::string*>(text)->append(static_cast<const char*>(data),
                                            static_cast<std::size_t>(bytes));
  };
  if (stbi_write_png_to_func(append, &png, narrow(total_width), narrow(total_height),
                             narrow(channels), pixels.data(), narrow(total_width * channels)) == 0)
    throw MachineError("out of memory: sample fewer images with --count");
  return png;
}

void write_image_grid(const std::filesystem::path& path, const Matrix<double>& values,
                      const std::vector<Index>& shape) {
  const std::string png = image_grid_png(values, shape);
  NewFile file(path, "--output");
  write_file(file.temporary(), png);
  file.commit();
}

}  // namespace relgrad
