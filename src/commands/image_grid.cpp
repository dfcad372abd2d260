#include "commands/image_grid.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

#include "relgrad/core/error.hpp"
#include "run/run_directory.hpp"

#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace relgrad {

void write_image_grid(const std::filesystem::path& path, const Matrix<double>& values,
                      const std::vector<Index>& shape) {
  if (shape.size() != 3 || (shape[0] != 1 && shape[0] != 3)) {
    throw UsageError(
        "--output: only grey or colour images make a PNG; name a file that ends in .h5");
  }
  const Index channels = shape[0];
  const Index height = shape[1];
  const Index width = shape[2];
  check_size("write_image_grid", "rows", values.rows(), channels * height * width);

  constexpr Index gap = 2;
  const Index zoom = std::max<Index>(1, 56 / std::max(height, width));
  const Index columns =
      static_cast<Index>(std::ceil(std::sqrt(static_cast<double>(values.cols()))));
  const Index rows = (values.cols() + columns - 1) / columns;
  const Index total_width = columns * (width * zoom + gap) + gap;
  const Index total_height = rows * (height * zoom + gap) + gap;
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
  // Into memory: a file that stb writes may be cut by a full disk without a word.
  std::string png;
  const auto append = [](void* text, void* data, int bytes) {
    static_cast<std::string*>(text)->append(static_cast<const char*>(data),
                                            static_cast<std::size_t>(bytes));
  };
  if (stbi_write_png_to_func(append, &png, narrow(total_width), narrow(total_height),
                             narrow(channels), pixels.data(), narrow(total_width * channels)) == 0)
    throw Error(ExitCode::internal, "out of memory: sample fewer images with --count");
  write_file_atomically(path, png);
}

}  // namespace relgrad
