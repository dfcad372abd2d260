#pragma once
/// Samples as one picture.
#include <filesystem>
#include <string>
#include <vector>

#include "relgrad/core/types.hpp"

namespace relgrad {

/// @throws UsageError for shapes that make no picture, or where the picture of `count` samples
/// would take more than 512 MiB, beyond which the PNG writer's 32-bit sizes overflow.
void check_image_grid(const std::vector<Index>& shape, Index count);

/// The samples in rows of ceil(sqrt(N)) images, two white pixels apart, small images enlarged by
/// whole factors, as a PNG.
/// @param values  D x N, 0 ... 255 (rounded down and clamped)
/// @param shape   {C, H, W}, C = 1 (grey) or 3 (colour, planar)
/// @throws UsageError like check_image_grid; MachineError.
std::string image_grid_png(const Matrix<double>& values, const std::vector<Index>& shape);

/// The same as a file, which must not exist.
/// @throws DiskError; UsageError like check_image_grid, or if `path` exists.
void write_image_grid(const std::filesystem::path& path, const Matrix<double>& values,
                      const std::vector<Index>& shape);

}  // namespace relgrad
