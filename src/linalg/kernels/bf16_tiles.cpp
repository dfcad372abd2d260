#include "linalg/kernels/bf16_tiles.hpp"

#include <bit>
#include <utility>

#include "core/simd_math.hpp"
#include "linalg/kernels/bf16_rounding.hpp"

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#define RELGRAD_BF16_UNITS
#endif

namespace relgrad::kernels {

namespace {

RELGRAD_INLINE std::uint32_t pair_of(float lower, float upper) {
  return (bf16_bits(lower) >> 16U) | bf16_bits(upper);
}

float value_of(std::uint32_t bits) { return std::bit_cast<float>(bits); }

void multiply_plain(const Bf16Tile& left, const Bf16Tile& right, SumTile& sum) {
  for (Index i = 0; i < tile_lines; ++i) {
    for (Index w = 0; w < tile_lines; ++w) {
      const std::uint32_t pair = left.word[i][w];
      for (Index j = 0; j < tile_lines; ++j) {
        sum.value[i][j] += value_of(pair << 16U) * value_of(right.word[w][j] << 16U) +
                           value_of(pair & 0xFFFF0000U) * value_of(right.word[w][j] & 0xFFFF0000U);
      }
    }
  }
}

/// A line of sixteen words at once, rounded.
struct PlainPairs {
  /// from[0 ... 31], side by side
  static void along(const float* from, std::uint32_t* to) {
    for (Index w = 0; w < tile_lines; ++w) to[w] = pair_of(from[2 * w], from[2 * w + 1]);
  }
  static void across(const float* even, const float* odd, std::uint32_t* to) {
    for (Index i = 0; i < tile_lines; ++i) to[i] = pair_of(even[i], odd[i]);
  }
};

template <class Pairs>
RELGRAD_INLINE void pack_along_as(const Part& part, Bf16Tile* tiles) {
  for (Index i = 0; i < tile_lines; ++i) {
    const float* at = part.from + i * part.ld;
    Index left = i < part.lines ? part.depth : 0;
    for (Index k = 0; k < part.depth; k += tile_depth, at += tile_depth, left -= tile_depth) {
      std::uint32_t* const to = tiles[k / tile_depth].word[i];
      if (left >= tile_depth) {
        Pairs::along(at, to);
        continue;
      }
      float rest[tile_depth] = {};
      for (Index r = 0; r < left; ++r) rest[r] = at[r];
      Pairs::along(rest, to);
    }
  }
}

template <class Pairs>
RELGRAD_INLINE void pack_across_as(const Part& part, Bf16Tile* tiles, Index stride) {
  static constexpr float zeros[tile_lines] = {};
  for (Index w = 0; w < tile_lines; ++w) {
    const float* const even = part.from + 2 * w * part.ld;
    const bool has_even = 2 * w < part.depth;
    const bool has_odd = 2 * w + 1 < part.depth;
    for (Index i = 0; i < part.lines; i += tile_lines) {
      std::uint32_t* const to = tiles[i / tile_lines * stride].word[w];
      const Index left = part.lines - i;
      if (left >= tile_lines) {
        Pairs::across(has_even ? even + i : zeros, has_odd ? even + part.ld + i : zeros, to);
        continue;
      }
      float rest[2][tile_lines] = {};
      for (Index r = 0; r < left && has_even; ++r) rest[0][r] = even[i + r];
      for (Index r = 0; r < left && has_odd; ++r) rest[1][r] = even[part.ld + i + r];
      Pairs::across(rest[0], rest[1], to);
    }
  }
}

#ifdef RELGRAD_BF16_UNITS

/// The kernel keeps the tiles' 8 KiB with a process only after it was asked to.
bool may_use_tiles() {
  constexpr long request_permission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long tile_data = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

struct alignas(64) TileConfiguration {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};  // of a line
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

#pragma GCC push_options
#pragma GCC target("amx-tile,amx-bf16")

void begin_tiles() {
  const TileConfiguration all;
  asm volatile("" : : "r"(&all) : "memory");
  _tile_loadconfig(&all);
}
void end_tiles() { _tile_release(); }

template <int rows, int columns>
void multiply_amx(const Tiles& left, const Tiles& right, Index depth, SumTile* sums, Index stride) {
  asm volatile("" : : : "memory");  // the tile loads below do not say that they read memory
  _tile_loadd(0, sums, 64);
  if constexpr (columns > 1) _tile_loadd(1, sums + 1, 64);
  if constexpr (rows > 1) _tile_loadd(2, sums + stride, 64);
  if constexpr (rows > 1 && columns > 1) _tile_loadd(3, sums + stride + 1, 64);
  for (Index t = 0; t < depth; ++t) {
    _tile_loadd(4, left.first + t, 64);
    _tile_loadd(6, right.first + t, 64);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (columns > 1) {
      _tile_loadd(7, right.first + right.stride + t, 64);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (rows > 1) {
      _tile_loadd(5, left.first + left.stride + t, 64);
      _tile_dpbf16ps(2, 5, 6);
    }
    if constexpr (rows > 1 && columns > 1) _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, sums, 64);
  if constexpr (columns > 1) _tile_stored(1, sums + 1, 64);
  if constexpr (rows > 1) _tile_stored(2, sums + stride, 64);
  if constexpr (rows > 1 && columns > 1) _tile_stored(3, sums + stride + 1, 64);
}

void multiply_amx(const Tiles& left, int rows, const Tiles& right, int columns, Index depth,
                  SumTile* sums, Index stride) {
  if (rows > 1) {
    columns > 1 ? multiply_amx<2, 2>(left, right, depth, sums, stride)
                : multiply_amx<2, 1>(left, right, depth, sums, stride);
  } else {
    columns > 1 ? multiply_amx<1, 2>(left, right, depth, sums, stride)
                : multiply_amx<1, 1>(left, right, depth, sums, stride);
  }
}

#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512bf16,prefer-vector-width=512")

/// bf16 numbers below 2^-126 become zero.
struct Avx512Pairs {
  static void along(const float* from, std::uint32_t* to) {
    const __m512bh both = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + 16), _mm512_loadu_ps(from));
    _mm512_store_si512(to, reinterpret_cast<__m512i>(both));
  }
  static void across(const float* even, const float* odd, std::uint32_t* to) {
    alignas(64) static constexpr std::uint16_t by_turns[32] = {
        0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __m512bh both = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(odd), _mm512_loadu_ps(even));
    _mm512_store_si512(
        to, _mm512_permutexvar_epi16(_mm512_load_si512(by_turns), reinterpret_cast<__m512i>(both)));
  }
};

void pack_along_avx512(const Part& part, Bf16Tile* tiles) {
  pack_along_as<Avx512Pairs>(part, tiles);
}
void pack_across_avx512(const Part& part, Bf16Tile* tiles, Index stride) {
  pack_across_as<Avx512Pairs>(part, tiles, stride);
}

void multiply_avx512(const Bf16Tile* left, const Bf16Tile* right, Index depth, SumTile& sum) {
  __m512 row[tile_lines];
#pragma GCC unroll 16
  for (Index i = 0; i < tile_lines; ++i) row[i] = _mm512_load_ps(sum.value[i]);
  for (Index t = 0; t < depth; ++t) {
    for (Index w = 0; w < tile_lines; ++w) {
      const auto pairs = reinterpret_cast<__m512bh>(_mm512_load_si512(right[t].word[w]));
#pragma GCC unroll 16
      for (Index i = 0; i < tile_lines; ++i) {
        const __m512i pair = _mm512_set1_epi32(static_cast<int>(left[t].word[i][w]));
        row[i] = _mm512_dpbf16_ps(row[i], reinterpret_cast<__m512bh>(pair), pairs);
      }
    }
  }
#pragma GCC unroll 16
  for (Index i = 0; i < tile_lines; ++i) _mm512_store_ps(sum.value[i], row[i]);
}

#pragma GCC pop_options

#endif

}  // namespace

#ifdef RELGRAD_BF16_UNITS
Bf16Units bf16_units() {
  static const Bf16Units best = [] {
    if (__builtin_cpu_supports("amx-bf16") != 0 && may_use_tiles()) return Bf16Units::amx;
    return __builtin_cpu_supports("avx512bf16") != 0 ? Bf16Units::avx512_bf16 : Bf16Units::plain;
  }();
  return best;
}
#else
Bf16Units bf16_units() { return Bf16Units::plain; }
#endif

UnitsInUse::UnitsInUse(Bf16Units units) : units_(units) {
#ifdef RELGRAD_BF16_UNITS
  if (units_ == Bf16Units::amx) begin_tiles();
#endif
}
UnitsInUse::~UnitsInUse() {
#ifdef RELGRAD_BF16_UNITS
  if (units_ == Bf16Units::amx) end_tiles();
#endif
}

void pack_along([[maybe_unused]] Bf16Units units, const Part& part, Bf16Tile* tiles) {
#ifdef RELGRAD_BF16_UNITS
  if (units != Bf16Units::plain) return pack_along_avx512(part, tiles);
#endif
  pack_along_as<PlainPairs>(part, tiles);
}

void pack_across([[maybe_unused]] Bf16Units units, const Part& part, Bf16Tile* tiles,
                 Index stride) {
#ifdef RELGRAD_BF16_UNITS
  if (units != Bf16Units::plain) return pack_across_avx512(part, tiles, stride);
#endif
  pack_across_as<PlainPairs>(part, tiles, stride);
}

void transpose(Bf16Tile& tile) {
  for (Index i = 0; i < tile_lines; ++i) {
    for (Index j = 0; j < i; ++j) std::swap(tile.word[i][j], tile.word[j][i]);
  }
}

void multiply([[maybe_unused]] Bf16Units units, const Tiles& left, int rows, const Tiles& right,
              int columns, Index depth, SumTile* sums, Index stride) {
#ifdef RELGRAD_BF16_UNITS
  if (units == Bf16Units::amx) {
    multiply_amx(left, rows, right, columns, depth, sums, stride);
    return;
  }
#endif
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < columns; ++j) {
      const Bf16Tile* const a = left.first + i * left.stride;
      const Bf16Tile* const b = right.first + j * right.stride;
      SumTile& sum = sums[i * stride + j];
#ifdef RELGRAD_BF16_UNITS
      if (units == Bf16Units::avx512_bf16) {
        multiply_avx512(a, b, depth, sum);
        continue;
      }
#endif
      for (Index t = 0; t < depth; ++t) multiply_plain(a[t], b[t], sum);
    }
  }
}

}  // namespace relgrad::kernels
