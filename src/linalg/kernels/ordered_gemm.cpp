#include "linalg/kernels/ordered_gemm.hpp"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "core/cpu_vectors.hpp"
#include "core/simd_math.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/huge_page_buffer.hpp"
#include "relgrad/core/partition.hpp"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#include <immintrin.h>
#define RELGRAD_X86_PRODUCTS
#endif

namespace relgrad::kernels {

namespace {

/// A tile of a pass stays in the second level of cache with the columns of W that it moves.
constexpr Index bytes_of_pass_tile = Index{64} * 1024;

#ifdef RELGRAD_X86_PRODUCTS

/// Brings blocks of memory into the second level of cache, piece by piece, in the order they lie.
struct NextBlocks {
  std::array<const char*, 3> at = {};
  Index fetched = 0;  // bytes of each
  Index bytes = 0;

  template <class T>
  explicit NextBlocks(const OrderedProduct<T>& p) {
    for (const T* block : p.read_next) {
      if (block == nullptr) continue;
      at[static_cast<std::size_t>(count++)] = reinterpret_cast<const char*>(block);
      bytes = p.m * p.n * static_cast<Index>(sizeof(T));
    }
  }
  RELGRAD_INLINE void fetch(Index more) {
    const Index end = fetched + more < bytes ? fetched + more : bytes;
    for (int i = 0; i < count; ++i) {
      for (Index b = fetched; b < end; b += 64) {
        __builtin_prefetch(at[static_cast<std::size_t>(i)] + b, 0, 2);
      }
    }
    fetched = end;
  }

 private:
  int count = 0;
};

/// to[k][16 or 32 rows] from columns of `from` that start `ld` apart.
template <class T>
RELGRAD_INLINE void transpose_scalar(const T* from, Index ld, Index rows, Index depth, T* to) {
  for (Index i = 0; i < rows; ++i) {
    for (Index k = 0; k < depth; ++k) to[k * rows + i] = from[i * ld + k];
  }
}

/// to[k * stride + i] = from[i * ld + k], i = 0 ... 3
template <class T>
RELGRAD_INLINE void interleave_4(const T* from, Index ld, Index depth, T* to, Index stride) {
  Index k = 0;
  if constexpr (sizeof(T) == 4) {
    for (; k + 4 <= depth; k += 4) {
      __m128 r[4];
      for (int i = 0; i < 4; ++i) r[i] = _mm_loadu_ps(from + i * ld + k);
      _MM_TRANSPOSE4_PS(r[0], r[1], r[2], r[3]);
      for (int i = 0; i < 4; ++i) _mm_storeu_ps(to + (k + i) * stride, r[i]);
    }
  }
  for (; k < depth; ++k) {
    for (Index i = 0; i < 4; ++i) to[k * stride + i] = from[i * ld + k];
  }
}

#pragma GCC push_options
#pragma GCC target("avx2,fma")

/// 8 x 8 floats: to[k * rows + i] = from[i * ld + k]
RELGRAD_INLINE void transpose_8x8(const float* from, Index ld, float* to, Index rows) {
  __m256 r[8];
  __m256 s[8];
  for (int i = 0; i < 8; ++i) r[i] = _mm256_loadu_ps(from + i * ld);
  for (int i = 0; i < 4; ++i) {
    s[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
    s[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  }
  for (int h = 0; h < 2; ++h) {
    r[4 * h + 0] = _mm256_shuffle_ps(s[4 * h], s[4 * h + 2], 0x44);
    r[4 * h + 1] = _mm256_shuffle_ps(s[4 * h], s[4 * h + 2], 0xEE);
    r[4 * h + 2] = _mm256_shuffle_ps(s[4 * h + 1], s[4 * h + 3], 0x44);
    r[4 * h + 3] = _mm256_shuffle_ps(s[4 * h + 1], s[4 * h + 3], 0xEE);
  }
  for (int i = 0; i < 4; ++i) {
    _mm256_storeu_ps(to + i * rows, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
    _mm256_storeu_ps(to + (i + 4) * rows, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
  }
}

template <class T, Index rows>
RELGRAD_INLINE void transpose_panel(const T* from, Index ld, Index depth, T* to) {
  if constexpr (sizeof(T) == 4) {
    Index k = 0;
    for (; k + 8 <= depth; k += 8) {
      for (Index i = 0; i < rows; i += 8)
        transpose_8x8(from + i * ld + k, ld, to + k * rows + i, rows);
    }
    transpose_scalar(from + k, ld, rows, depth - k, to + k * rows);
  } else {
    transpose_scalar(from, ld, rows, depth, to);
  }
}

/// Lanes below `first` of `low`, the others of `high`.
template <int first>
RELGRAD_INLINE __m256 joined(__m256 low, __m256 high) {
  return _mm256_blend_ps(low, high, 0xFF << first & 0xFF);
}
template <int first>
RELGRAD_INLINE __m256d joined(__m256d low, __m256d high) {
  return _mm256_blend_pd(low, high, 0xF << first & 0xF);
}

namespace avx2 {
#define RELGRAD_VECTOR_BYTES 32
#define RELGRAD_TILE_COLUMNS 6
#include "linalg/kernels/ordered_gemm_body.hpp"
#include "linalg/kernels/ordered_pass_body.hpp"
#undef RELGRAD_VECTOR_BYTES
#undef RELGRAD_TILE_COLUMNS
}  // namespace avx2
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,prefer-vector-width=512")
template <int first>
RELGRAD_INLINE __m512 joined(__m512 low, __m512 high) {
  return _mm512_mask_blend_ps(static_cast<__mmask16>(0xFFFF << first), low, high);
}
template <int first>
RELGRAD_INLINE __m512d joined(__m512d low, __m512d high) {
  return _mm512_mask_blend_pd(static_cast<__mmask8>(0xFF << first), low, high);
}

namespace avx512 {
#define RELGRAD_VECTOR_BYTES 64
#define RELGRAD_TILE_COLUMNS 12
#include "linalg/kernels/ordered_gemm_body.hpp"
#include "linalg/kernels/ordered_pass_body.hpp"
#undef RELGRAD_VECTOR_BYTES
#undef RELGRAD_TILE_COLUMNS
}  // namespace avx512
#pragma GCC pop_options

#endif

/// The definition itself, for CPUs without one of the above.
template <class T>
void plain_gemm(const OrderedProduct<T>& p) {
  for (Index j = 0; j < p.n; ++j) {
    for (Index i = 0; i < p.m; ++i) {
      T sum = p.add ? p.c[i + j * p.ldc] : T(0);
      for (Index k = 0; k < p.k; ++k) {
        sum = std::fma(p.a_transposed ? p.a[k + i * p.lda] : p.a[i + k * p.lda],
                       p.b_transposed ? p.b[j + k * p.ldb] : p.b[k + j * p.ldb], sum);
      }
      p.c[i + j * p.ldc] = sum;
    }
  }
}

/// The vectors that both `widest` and this CPU allow.
[[maybe_unused]] Vectors vectors_of([[maybe_unused]] Vectors widest) {
#ifdef RELGRAD_X86_PRODUCTS
  if (widest >= Vectors::bits_512 && cpu_has_avx512()) {
    return Vectors::bits_512;
  }
  if (widest >= Vectors::bits_256 && cpu_has_avx2_and_fma()) {
    return Vectors::bits_256;
  }
#endif
  return Vectors::none;
}

template <class T>
void on_one_thread(const OrderedProduct<T>& p, Vectors widest) {
#ifdef RELGRAD_X86_PRODUCTS
  constexpr std::size_t block = std::size_t{272} * 1024;  // bytes, above what either shape packs
  static thread_local const HugePageBuffer<T> packed_a(block / sizeof(T));  // on lines of cache
  static thread_local const HugePageBuffer<T> packed_b(block / sizeof(T));
  switch (vectors_of(widest)) {
    case Vectors::bits_512:
      return avx512::gemm(p, packed_a.get(), packed_b.get());
    case Vectors::bits_256:
      return avx2::gemm(p, packed_a.get(), packed_b.get());
    case Vectors::none:
      break;
  }
#else
  static_cast<void>(widest);
#endif
  plain_gemm(p);
}

/// Rows [begin, begin + rows) of the product.
template <class T>
OrderedProduct<T> rows_of(OrderedProduct<T> p, Index begin, Index rows) {
  p.m = rows;
  p.a += p.a_transposed ? begin * p.lda : begin;
  p.c += begin;
  for (const T*& block : p.read_next) block += block == nullptr ? 0 : begin * p.n;
  return p;
}

template <class T>
void on_all_threads(const OrderedProduct<T>& p, Vectors widest) {
  if (p.m == 0 || p.n == 0) return;
  if (p.k == 0) {
    for (Index j = 0; j < p.n && !p.add; ++j) std::fill_n(p.c + j * p.ldc, p.m, T(0));
    return;
  }
  // Whole tiles of rows to each thread; below this much work starting them costs more than it
  // saves.
  constexpr Index tile_rows = 64;
  constexpr double least_flops = 2e6;
  const Index tiles = (p.m + tile_rows - 1) / tile_rows;
  const double flops = 2.0 * static_cast<double>(p.m) * static_cast<double>(p.n * p.k);
  const Index threads = flops < least_flops ? 1 : std::min<Index>(tiles, omp_get_max_threads());
  if (threads == 1) return on_one_thread(p, widest);
#pragma omp parallel for schedule(static) num_threads(static_cast <int>(threads))
  for (Index part = 0; part < threads; ++part) {
    const Range own = part_of(tiles, static_cast<int>(part), static_cast<int>(threads));
    const Index begin = own.begin * tile_rows;
    on_one_thread(rows_of(p, begin, std::min(own.end * tile_rows, p.m) - begin), widest);
  }
}

}  // namespace

void ordered_gemm(const OrderedProduct<float>& product, Vectors widest) {
  on_all_threads(product, widest);
}
void ordered_gemm(const OrderedProduct<double>& product, Vectors widest) {
  on_all_threads(product, widest);
}

template <class T>
Index widest_pass(Vectors widest) {
#ifdef RELGRAD_X86_PRODUCTS
  if (vectors_of(widest) == Vectors::bits_512) return avx512::Narrow<T>::most;
  if (vectors_of(widest) == Vectors::bits_256) return avx2::Narrow<T>::most;
#else
  static_cast<void>(widest);
#endif
  return 0;
}

template <class T>
Index room_of_pass(Index rows, Vectors widest) {
  constexpr Index most_rows = 32;  // of a panel
  constexpr Index least_columns = 12;
  const Index padded = (rows + most_rows - 1) / most_rows * most_rows;
  const Index tile =
      std::max(padded * least_columns, bytes_of_pass_tile / static_cast<Index>(sizeof(T)));
  return padded * 2 * widest_pass<T>(widest) + tile;
}

template <class T>
void ordered_pass(const OrderedPass<T>& pass, [[maybe_unused]] T* room, Vectors widest) {
  check_size("ordered_pass", "factors", std::clamp<Index>(pass.count, 1, widest_pass<T>(widest)),
             pass.count);
#ifdef RELGRAD_X86_PRODUCTS
  if (vectors_of(widest) == Vectors::bits_512) return avx512::pass(pass, room);
  avx2::pass(pass, room);
#endif
}

#define RELGRAD_INSTANTIATE(T)                    \
  template Index widest_pass<T>(Vectors);         \
  template Index room_of_pass<T>(Index, Vectors); \
  template void ordered_pass(const OrderedPass<T>&, T*, Vectors);
RELGRAD_INSTANTIATE(float)
RELGRAD_INSTANTIATE(double)
#undef RELGRAD_INSTANTIATE

}  // namespace relgrad::kernels
