#include "run/image_grid.hpp"

#include <gtest/gtest.h>

#include "relgrad/core/error.hpp"
#include "support/temporary_directory.hpp"

#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_PNG
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace relgrad {
namespace {

struct Picture {
  int width = 0, height = 0, channels = 0;
  std::vector<std::uint8_t> pixels;
  int at(Index y, Index x, Index c) const {
    return pixels[static_cast<std::size_t>((y * width + x) * channels + c)];
  }
};

Picture read(const std::filesystem::path& path) {
  Picture picture;
  stbi_uc* pixels = stbi_load(path.c_str(), &picture.width, &picture.height, &picture.channels, 0);
  if (pixels == nullptr) throw std::runtime_error(stbi_failure_reason());
  picture.pixels.assign(pixels, pixels + picture.width * picture.height * picture.channels);
  stbi_image_free(pixels);
  return picture;
}

/// Every pixel of every image is where it belongs, enlarged by `zoom`, two pixels apart; all else
/// is white.
void expect_grid(Index channels, Index height, Index width, Index count, Index columns,
                 Index zoom) {
  const test::TemporaryDirectory directory;
  const Index dimension = channels * height * width;
  const Matrix<double> values = Matrix<double>::NullaryExpr(dimension, count, [](Index d, Index n) {
    return static_cast<double>((7 * d + 31 * n + d * n) % 255) + 0.75;
  });

  write_image_grid(directory.path() / "grid.png", values, {channels, height, width});

  const Picture picture = read(directory.path() / "grid.png");
  const Index cell_height = height * zoom + 2;
  const Index cell_width = width * zoom + 2;
  ASSERT_EQ(picture.channels, channels);
  ASSERT_EQ(picture.width, columns * cell_width + 2);
  ASSERT_EQ(picture.height, (count + columns - 1) / columns * cell_height + 2);
  for (Index y = 0; y < picture.height; ++y) {
    for (Index x = 0; x < picture.width; ++x) {
      const Index n = y / cell_height * columns + x / cell_width;
      const Index row = y % cell_height - 2;
      const Index col = x % cell_width - 2;
      const bool inside = row >= 0 && col >= 0 && x / cell_width < columns && n < count;
      for (Index c = 0; c < channels; ++c) {
        const int expected =
            inside ? static_cast<int>(values((c * height + row / zoom) * width + col / zoom, n))
                   : 255;
        ASSERT_EQ(picture.at(y, x, c), expected) << y << " " << x << " " << c;
      }
    }
  }
}

TEST(ImageGrid, PutsGreyImagesInRowsOfTheRootOfTheirNumber) { expect_grid(1, 8, 8, 7, 3, 7); }

TEST(ImageGrid, PutsPlanarColoursTogether) { expect_grid(3, 20, 28, 4, 2, 2); }

TEST(ImageGrid, LeavesLargeImagesAsTheyAre) { expect_grid(1, 60, 30, 1, 1, 1); }

TEST(ImageGrid, ClampsToTheRangeOfAByte) {
  const test::TemporaryDirectory directory;
  Matrix<double> values(1, 3);
  values << -3.0, 300.0, 255.999;

  write_image_grid(directory.path() / "grid.png", values, {1, 1, 1});

  const Picture picture = read(directory.path() / "grid.png");
  EXPECT_EQ(picture.at(2, 2, 0), 0);
  EXPECT_EQ(picture.at(2, 2 + 58, 0), 255);
  EXPECT_EQ(picture.at(2 + 58, 2, 0), 255);
}

TEST(ImageGrid, RefusesWhatIsNoImageAndPlacesItCannotWrite) {
  const test::TemporaryDirectory directory;
  const Matrix<double> values = Matrix<double>::Zero(2, 1);
  EXPECT_THROW(write_image_grid(directory.path() / "a.png", values, {2}), UsageError);
  EXPECT_THROW(write_image_grid(directory.path() / "a.png", values, {2, 1, 1}), UsageError);
  EXPECT_THROW(write_image_grid(directory.path() / "a.png", values, {1, 2, 2}), ShapeError);
  EXPECT_THROW(write_image_grid(directory.path() / "no" / "a.png", values, {1, 1, 2}), DiskError);
}

}  // namespace
}  // namespace relgrad
