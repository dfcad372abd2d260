#pragma once
/// Tiles of bf16 numbers, and the units of CPUs that multiply them.
#include <cstdint>

#include "relgrad/core/types.hpp"

namespace relgrad::kernels {

/// What multiplies bf16 numbers two at a time: the CPU's tiles, its vectors, or, on any CPU and for
/// tests, plain float32 arithmetic.
enum class Bf16Units { plain, avx512_bf16, amx };
/// The best this CPU and its kernel have.
Bf16Units bf16_units();

constexpr Index tile_lines = 16;
constexpr Index tile_depth = 32;

/// Sixteen words a line, each of two bf16 numbers, k = 2w in its lower half and k = 2w + 1. As a
/// left operand line i holds row i of it, [i][w]; as a right one line w holds the pairs of all its
/// columns, [w][j]: the transpose, word by word.
struct alignas(64) Bf16Tile {
  std::uint32_t word[tile_lines][tile_lines];
};
/// A tile of the product: 16 rows of the left operand, 16 columns of the right.
struct alignas(64) SumTile {
  float value[tile_lines][tile_lines];
};

/// A part of a matrix, lines x depth: along, line i has from[i ld + k]; across, from[i + k ld].
struct Part {
  const float* from;
  Index ld;
  Index lines, depth;
};
/// Rounds `part`, which lies along, to left operands: tiles[t], t-th of the depth, with at most 16
/// lines. Zero beyond the part.
void pack_along(Bf16Units units, const Part& part, Bf16Tile* tiles);
/// Rounds `part`, which lies across, to right operands: tiles[t * stride], t-th of the lines, with
/// a depth of at most 32. Zero beyond the part.
void pack_across(Bf16Units units, const Part& part, Bf16Tile* tiles, Index stride);
/// A left operand becomes a right one, and a right one a left one.
void transpose(Bf16Tile& tile);

/// While one lives, this thread may multiply.
class UnitsInUse {
 public:
  explicit UnitsInUse(Bf16Units units);
  ~UnitsInUse();
  UnitsInUse(const UnitsInUse&) = delete;
  UnitsInUse& operator=(const UnitsInUse&) = delete;

 private:
  [[maybe_unused]] Bf16Units units_;
};

/// Tiles (i, t) of an operand at first[i * stride + t], i of its lines and t of its depth.
struct Tiles {
  const Bf16Tile* first;
  Index stride;
};
/// sums[i * stride + j] += sum over `depth` tiles of left(i) right(j); rows and columns 1 or 2.
void multiply(Bf16Units units, const Tiles& left, int rows, const Tiles& right, int columns,
              Index depth, SumTile* sums, Index stride);

}  // namespace relgrad::kernels
