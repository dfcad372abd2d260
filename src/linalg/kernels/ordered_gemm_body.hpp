// No include guard: ordered_gemm.cpp includes this once per instruction set, inside a namespace and
// after RELGRAD_VECTOR_BYTES and RELGRAD_TILE_COLUMNS are set.

// The others need the first one.
// clang-format off
#include "linalg/kernels/ordered_tiles_body.hpp"
#include "linalg/kernels/ordered_narrow_body.hpp"
#include "linalg/kernels/ordered_shallow_body.hpp"
// clang-format on

template <class T>
void gemm(const OrderedProduct<T>& p, T* packed_a, T* packed_b) {
  using S = Shape<T>;
  constexpr Index packed_size = S::block_columns * S::depth;  // of B
  if (p.a_transposed && !p.b_transposed && p.n <= Narrow<T>::most) {
    return with_lanes_for<T>(
        p.n, [&](auto lanes) { narrow_gemm<T, decltype(lanes)>(p, packed_b, packed_size); });
  }
  if (Shallow<T>::fits(p)) return shallow_gemm(p, packed_b, packed_size, packed_a);
  NextBlocks next(p);
  for (Index j0 = 0; j0 < p.n; j0 += S::block_columns) {
    const Index columns = p.n - j0 < S::block_columns ? p.n - j0 : S::block_columns;
    for (Index k0 = 0; k0 < p.k; k0 += S::depth) {
      const Index depth = p.k - k0 < S::depth ? p.k - k0 : S::depth;
      pack_b(p, j0, columns, k0, depth, packed_b);
      for (Index i = 0; i < p.m; i += S::rows) {
        panel_of(p, i, j0, columns, k0, depth, packed_a, packed_b, next);
      }
    }
  }
}
