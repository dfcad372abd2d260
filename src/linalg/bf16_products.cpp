#include "linalg/bf16_products.hpp"

#include <omp.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "linalg/kernels/bf16.hpp"

namespace relgrad {

namespace {

using kernels::Bf16Tile;
using kernels::Part;
using kernels::SumTile;
using kernels::tile_depth;
using kernels::tile_lines;

/// An operand as it lies in memory: rows x cols, column-major.
struct Stored {
  Index rows, cols;
};
Stored stored_a(const ProductShape& s) {
  return s.op_a == Transpose::yes ? Stored{s.k, s.m} : Stored{s.m, s.k};
}
Stored stored_b(const ProductShape& s) {
  return s.op_b == Transpose::yes ? Stored{s.n, s.k} : Stored{s.k, s.n};
}

/// Rounds every column; `to` gets them without gaps, and grows.
const float* rounded(const float* from, Index ld, const Stored& shape, std::vector<float>& to) {
  const auto rows = static_cast<std::size_t>(shape.rows);
  const std::size_t size = rows * static_cast<std::size_t>(shape.cols);
  if (to.size() < size) to.resize(size);
#pragma omp parallel for schedule(static) if (size > (std::size_t{1} << 16U))
  for (Index j = 0; j < shape.cols; ++j) {
    kernels::round_to_bf16(from + j * ld, rows, to.data() + static_cast<std::size_t>(j) * rows);
  }
  return to.data();
}

Index tiles_of(Index count, Index tile) { return (count + tile - 1) / tile; }

template <class Tile>
Tile* room(std::vector<Tile>& memory, Index size) {
  if (memory.size() < static_cast<std::size_t>(size)) memory.resize(static_cast<std::size_t>(size));
  return memory.data();
}

/// A block of A, `runs` runs of `run` numbers, that is brought near in shares.
class BlockAhead {
 public:
  BlockAhead(const float* from, Index ld, Index run, Index runs, Index shares)
      : at_(from),
        ld_(ld),
        run_(run),
        runs_(runs),
        share_(tiles_of(tiles_of(run, line) * runs, shares)) {}
  void fetch_share() {
    for (Index n = share_; n > 0 && runs_ > 0; --n) {
      __builtin_prefetch(at_ + in_run_, 0, 2);
      in_run_ += line;
      if (in_run_ < run_) continue;
      in_run_ = 0;
      at_ += ld_;
      --runs_;
    }
  }

 private:
  static constexpr Index line = 64 / static_cast<Index>(sizeof(float));
  const float* at_ = nullptr;
  Index ld_ = 0;
  Index run_ = 0;
  Index runs_ = 0;  // that are left
  Index in_run_ = 0;
  Index share_ = 0;  // lines of cache
};

/// A product by tiles. The larger operand, op(A), is read once, rounded block by block; op(B) has
/// been rounded as a whole before. Where A lies along its depth (A^T B) it is the left operand of
/// the tiles, else the right one, and they are of the transposed product.
class TiledProduct {
 public:
  TiledProduct(const ProductShape& shape, kernels::Bf16Units units)
      : shape_(shape),
        units_(units),
        a_is_left_(shape.op_a == Transpose::yes),
        depth_tiles_(tiles_of(shape.k, tile_depth)),
        b_tiles_(tiles_of(shape.n, tile_lines)) {
    constexpr double least_flops = 2e6;  // fewer are not worth starting threads
    if (shape.flops() > least_flops) threads_ = omp_get_max_threads();
    // Long runs of memory: of A^T 4 KiB of each column, else as many rows as there is room for sums
    // in the second level of cache.
    block_depth_ = a_is_left_ ? 32 : 4;
    const Index tall = std::clamp<Index>(1024 / b_tiles_, 8, 64);
    const Index most = a_is_left_ ? 4 : depth_tiles_ > block_depth_ ? tall : 8;
    const Index a_tiles = tiles_of(shape.m, tile_lines);
    const Index blocks = tiles_of(tiles_of(a_tiles, most), threads_) * threads_;
    block_tiles_ = tiles_of(a_tiles, blocks);
  }

  /// Tiles (j, t), t of the depth, at to[j * depth_tiles + t].
  void pack_b(const float* b, Index ldb, Bf16Tile* to) const {
    const bool lies_along = shape_.op_b == Transpose::no;
    const bool turns = lies_along == a_is_left_;  // it lies as the other operand has to
#pragma omp parallel for schedule(static) num_threads(threads_)
    for (Index j = 0; j < b_tiles_; ++j) {
      const Index line = j * tile_lines;
      const Index lines = std::min(tile_lines, shape_.n - line);
      Bf16Tile* const tiles = to + j * depth_tiles_;
      if (lies_along) kernels::pack_along(units_, {b + line * ldb, ldb, lines, shape_.k}, tiles);
      for (Index t = 0; t < depth_tiles_; ++t) {
        const Index k = t * tile_depth;
        const Part part{b + line + k * ldb, ldb, lines, std::min(tile_depth, shape_.k - k)};
        if (!lies_along) kernels::pack_across(units_, part, tiles + t, 1);
        if (turns) kernels::transpose(tiles[t]);
      }
    }
  }

  void multiply(const float* a, Index lda, const Bf16Tile* packed_b, Onto onto, float* c,
                Index ldc) const {
#pragma omp parallel num_threads(threads_)
    {
      static thread_local std::vector<Bf16Tile> a_memory;
      static thread_local std::vector<SumTile> sum_memory;
      Bf16Tile* const packed_a = room(a_memory, block_tiles_ * block_depth_);
      SumTile* const sums = room(sum_memory, block_tiles_ * b_tiles_);
      const kernels::UnitsInUse in_use(units_);
#pragma omp for schedule(static)
      for (Index row = 0; row < shape_.m; row += block_tiles_ * tile_lines) {
        const Index rows = std::min(block_tiles_ * tile_lines, shape_.m - row);
        std::fill_n(sums, block_tiles_ * b_tiles_, SumTile{});
        for (Index t = 0; t < depth_tiles_; t += block_depth_) {
          pack_a(block_of(a, lda, row, rows, t), packed_a);
          const Part next = block_of(a, lda, row, rows, t + block_depth_);
          add_block(tiles_of(rows, tile_lines), std::min(block_depth_, depth_tiles_ - t), packed_a,
                    packed_b + t, next, sums);
        }
        write(sums, rows, onto, c + row, ldc);
      }
    }
  }

 private:
  /// Rows [row, row + rows) of op(A) from the t-th tile of the depth, or what there is of them.
  Part block_of(const float* a, Index lda, Index row, Index rows, Index t) const {
    const Index k = t * tile_depth;
    return {a_is_left_ ? a + k + row * lda : a + row + k * lda, lda, rows,
            std::clamp<Index>(shape_.k - k, 0, block_depth_ * tile_depth)};
  }

  /// Tile (i, s), s of the block's depth, at to[i * block_depth + s].
  void pack_a(const Part& block, Bf16Tile* to) const {
    const auto& [from, ld, lines, depth] = block;
    for (Index i = 0; a_is_left_ && i < lines; i += tile_lines) {
      kernels::pack_along(units_, {from + i * ld, ld, std::min(tile_lines, lines - i), depth},
                          to + i / tile_lines * block_depth_);
    }
    for (Index k = 0; !a_is_left_ && k < depth; k += tile_depth) {
      kernels::pack_across(units_, {from + k * ld, ld, lines, std::min(tile_depth, depth - k)},
                           to + k / tile_depth, block_depth_);
    }
  }

  /// The sum of A's tile i and B's tile j is at place(i, j).
  Index place(Index i, Index j) const {
    return a_is_left_ ? i * b_tiles_ + j : j * block_tiles_ + i;
  }

  /// @param next  the block of A that comes after this one
  void add_block(Index a_tiles, Index depth, const Bf16Tile* packed_a, const Bf16Tile* packed_b,
                 const Part& next, SumTile* sums) const {
    const Index shares = tiles_of(a_tiles, 2) * tiles_of(b_tiles_, 2);
    BlockAhead ahead(next.from, next.ld, a_is_left_ ? next.depth : next.lines,
                     a_is_left_ ? next.lines : next.depth, shares);
    for (Index i = 0; i < a_tiles; i += 2) {
      for (Index j = 0; j < b_tiles_; j += 2) {
        ahead.fetch_share();
        const kernels::Tiles of_a{packed_a + i * block_depth_, block_depth_};
        const kernels::Tiles of_b{packed_b + j * depth_tiles_, depth_tiles_};
        const int a_count = static_cast<int>(std::min<Index>(2, a_tiles - i));
        const int b_count = static_cast<int>(std::min<Index>(2, b_tiles_ - j));
        if (a_is_left_) {
          kernels::multiply(units_, of_a, a_count, of_b, b_count, depth, sums + place(i, j),
                            b_tiles_);
        } else {
          kernels::multiply(units_, of_b, b_count, of_a, a_count, depth, sums + place(i, j),
                            block_tiles_);
        }
      }
    }
  }

  void write(const SumTile* sums, Index rows, Onto onto, float* c, Index ldc) const {
    float column[tile_lines];
    for (Index n = 0; n < shape_.n; ++n) {
      const Index line = n % tile_lines;
      float* const to = c + n * ldc;
      for (Index i = 0; i < rows; i += tile_lines) {
        const SumTile& sum = sums[place(i / tile_lines, n / tile_lines)];
        for (Index r = 0; a_is_left_ && r < tile_lines; ++r) column[r] = sum.value[r][line];
        const float* const values = a_is_left_ ? column : sum.value[line];
        const Index here = std::min(tile_lines, rows - i);
        for (Index r = 0; onto == Onto::zero && r < here; ++r) to[i + r] = values[r];
        for (Index r = 0; onto == Onto::itself && r < here; ++r) to[i + r] += values[r];
      }
    }
  }

  ProductShape shape_;
  kernels::Bf16Units units_;
  bool a_is_left_;
  Index depth_tiles_;
  Index b_tiles_;
  int threads_ = 1;
  Index block_tiles_;  // of a block of A: its rows
  Index block_depth_;
};

}  // namespace

RoundedOperands::RoundedOperands(const ProductShape& shape, const float* from_a, Index from_lda,
                                 const float* from_b, Index from_ldb)
    : lda(stored_a(shape).rows), ldb(stored_b(shape).rows) {
  static thread_local std::array<std::vector<float>, 2> memory;
  a = rounded(from_a, from_lda, stored_a(shape), memory[0]);
  b = rounded(from_b, from_ldb, stored_b(shape), memory[1]);
}

bool multiplies_bf16() { return kernels::bf16_units() != kernels::Bf16Units::plain; }

void tiled_gemm(const ProductShape& shape, const float* a, Index lda, const float* b, Index ldb,
                Onto onto, float* c, Index ldc, kernels::Bf16Units units) {
  static thread_local std::vector<Bf16Tile> memory;
  const TiledProduct product(shape, units);
  Bf16Tile* const packed_b =
      room(memory, tiles_of(shape.n, tile_lines) * tiles_of(shape.k, tile_depth));
  product.pack_b(b, ldb, packed_b);
  product.multiply(a, lda, packed_b, onto, c, ldc);
}

}  // namespace relgrad
