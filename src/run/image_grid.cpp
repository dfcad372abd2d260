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

ImageGrid::ImageGrid(const std::vector<Index>& shape, Index count) : count_(count) {
  check_image_grid(shape, count);
  channels_ = shape[0];
  height_ = shape[1];
  width_ = shape[2];
  const Grid grid = grid_of(shape, count);
  zoom_ = grid.zoom;
  columns_ = grid.columns;
  total_width_ = grid.total_width;
  total_height_ = grid.total_height;
  pixels_.assign(static_cast<std::size_t>(total_width_ * total_height_ * channels_), 255);
}

template <class T>
void ImageGrid::draw(Index first, const ConstMatrixMap<T>& values) {
  check_size("ImageGrid::draw", "rows", values.rows(), channels_ * height_ * width_);
  check_size("ImageGrid::draw", "samples at most", std::min(first + values.cols(), count_),
             first + values.cols());
  for (Index n = 0; n < values.cols(); ++n) {
    const Index top = gap + (first + n) / columns_ * (height_ * zoom_ + gap);
    const Index left = gap + (first + n) % columns_ * (width_ * zoom_ + gap);
    for (Index y = 0; y < height_ * zoom_; ++y) {
      for (Index x = 0; x < width_ * zoom_; ++x) {
        for (Index c = 0; c < channels_; ++c) {
          const T value = values(c * height_ * width_ + y / zoom_ * width_ + x / zoom_, n);
          const Index at = ((top + y) * total_width_ + left + x) * channels_ + c;
          pixels_[static_cast<std::size_t>(at)] =
              static_cast<std::uint8_t>(std::clamp(std::floor(value), T{0}, T{255}));
        }
      }
    }
  }
}

std::string ImageGrid::png() const {
  const auto narrow = [](Index value) { return static_cast<int>(value); };
  std::string png;  // in memory: a file that stb writes may be cut by a full disk without a word
  const auto append = [](void* text, void* data, int bytes) {
    static_cast<std::string*>(text)->append(static_cast<const char*>(data),
                                            static_cast<std::size_t>(bytes));
  };
  if (stbi_write_png_to_func(append, &png, narrow(total_width_), narrow(total_height_),
                             narrow(channels_), pixels_.data(),
                             narrow(total_width_ * channels_)) == 0)
    throw MachineError("out of memory: sample fewer images with --count");
  return png;
}

template void ImageGrid::draw(Index, const ConstMatrixMap<float>&);
template void ImageGrid::draw(Index, const ConstMatrixMap<double>&);

std::string image_grid_png(const Matrix<double>& values, const std::vector<Index>& shape) {
  ImageGrid grid(shape, values.cols());
  grid.draw(0, ConstMatrixMap<double>(values.data(), values.rows(), values.cols()));
  return grid.png();
}

void write_image_grid(const std::filesystem::path& path, const Matrix<double>& values,
                      const std::vector<Index>& shape) {
  ImageGrid grid(shape, values.cols());
  grid.draw(0, ConstMatrixMap<double>(values.data(), values.rows(), values.cols()));
  write_image_grid(path, grid);
}

void write_image_grid(const std::filesystem::path& path, const ImageGrid& grid) {
  const std::string png = grid.png();
  NewFile file(path, "--output");
  write_file(file.temporary(), png);
  file.commit();
}

}  // namespace relgrad
