// No include guard: ordered_gemm.cpp includes this once per instruction set, after
// the three others it calls.

template <class T>
void gemm(const OrderedProduct<T>& p, T* packed_a, T* packed_b) {
  using S = Shape<T>;
  if (p.a_transposed && !p.b_transposed && p.n <= Narrow<T>::most) {
    constexpr Index size = S::block_columns * S::depth;
    if (p.n <= S::lanes) return narrow_gemm<T, 1>(p, packed_b, size);
    if (p.n <= 2 * S::lanes) return narrow_gemm<T, 2>(p, packed_b, size);
    return narrow_gemm<T, 3>(p, packed_b, size);
  }
  if (Shallow<T>::fits(p)) {
    shallow_gemm(p, packed_b, S::block_columns * S::depth, packed_a);
    return;
  }
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
