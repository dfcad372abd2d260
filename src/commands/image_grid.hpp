#pragma once
/// Samples as one picture.
#include <filesystem>
#include <vector>

#include "relgrad/core/types.hpp"

namespace relgrad {

/// Writes a PNG with the samples in rows of ceil(sqrt(N)) images, two white pixels apart, small
/// images enlarged by whole factors.
/// @param values  D x N, 0 ... 255 (rounded down and clamped)
/// @param shape   {C, H, W}, C = 1 (grey) or 3 (colour, planar)
/// @throws DiskError; UsageError for other shapes.
void write_image_grid(const std::filesystem::path& path, const Matrix<double>& values,
                      const std::vector<Index>& shape);

}  // namespace relgrad
