#pragma once
/// Samples as one picture.
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "relgrad/core/types.hpp"

namespace relgrad {

/// @throws UsageError for shapes that make no picture, or where the picture of `count` samples
/// would take more than 512 MiB, beyond which the PNG writer's 32-bit sizes overflow.
void check_image_grid(const std::vector<Index>& shape, Index count);

/// N samples in rows of ceil(sqrt(N)) images, two white pixels apart, small images enlarged by
/// whole factors. Its memory is that of the picture.
class ImageGrid {
 public:
  /// @param shape  {C, H, W}, C = 1 (grey) or 3 (colour, planar)
  /// @param count  N
  /// @throws UsageError like check_image_grid.
  ImageGrid(const std::vector<Index>& shape, Index count);
  /// Draws samples first, first + 1, ... @param values  D x n, 0 ... 255 (rounded down and clamped)
  template <class T>
  void draw(Index first, const ConstMatrixMap<T>& values);
  /// @throws MachineError.
  std::string png() const;

 private:
  Index channels_;
  Index height_;  // of a sample, pixels
  Index width_;
  Index count_;
  Index zoom_;
  Index columns_;
  Index total_width_;  // of the picture, pixels
  Index total_height_;
  std::vector<std::uint8_t> pixels_;  // total height x total width x channels
};

/// All samples at once. @param values  D x N
std::string image_grid_png(const Matrix<double>& values, const std::vector<Index>& shape);

/// The same as a file, which must not exist.
/// @throws DiskError; UsageError like check_image_grid, or if `path` exists.
void write_image_grid(const std::filesystem::path& path, const Matrix<double>& values,
                      const std::vector<Index>& shape);
void write_image_grid(const std::filesystem::path& path, const ImageGrid& grid);

}  // namespace relgrad
