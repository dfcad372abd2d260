// No include guard: ordered_gemm.cpp includes this once per instruction set, after
// ordered_tiles_body.hpp.

// A^T B with few columns of B: the lanes are columns of B, and A is read as it lies, a few columns
// side by side from top to bottom, without being turned.
template <class T>
struct Narrow {
  using S = Shape<T>;
  static constexpr Index most = 3 * S::lanes;  // columns of B
  /// Columns of A beside one another: with `vectors` of lanes as many sums as hide latency.
  static constexpr Index columns(int vectors) { return 12 / vectors; }
};

/// to[k][vectors * lanes] = columns of B, zero beyond the last.
template <class T>
void pack_lanes(const OrderedProduct<T>& p, Index k0, Index depth, Index width, T* to) {
  for (Index j = 0; j < width; ++j) {
    const T* from = p.b + k0 + j * p.ldb;
    for (Index k = 0; k < depth; ++k) to[k * width + j] = j < p.n ? from[k] : T(0);
  }
}

/// Rows [i, i + C) of C, all its columns, over `depth` of A and B.
template <class T, int V, int C>
void narrow_tile(const OrderedProduct<T>& p, Index i, Index k0, Index depth, const T* b) {
  using S = Shape<T>;
  using Vector = typename S::Vector;
  alignas(64) T held[C * V * S::lanes] = {};
  const bool add = p.add || k0 > 0;
  for (Index j = 0; add && j < p.n; ++j) {
    for (int c = 0; c < C; ++c) held[c * V * S::lanes + j] = p.c[i + c + j * p.ldc];
  }
  Vector sum[C][V];
#pragma GCC unroll 12
  for (int c = 0; c < C; ++c) {
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) sum[c][v] = load<T>(held + (c * V + v) * S::lanes);
  }
  const T* a = p.a + k0 + i * p.lda;
#pragma GCC unroll 1
  for (Index k = 0; k < depth; ++k) {
    Vector lanes[V];
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) lanes[v] = load<T>(b + v * S::lanes);
#pragma GCC unroll 12
    for (int c = 0; c < C; ++c) {
#pragma GCC unroll 3
      for (int v = 0; v < V; ++v) sum[c][v] = lanes[v] * a[k + c * p.lda] + sum[c][v];
    }
    b += V * S::lanes;
  }
#pragma GCC unroll 12
  for (int c = 0; c < C; ++c) {
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) store<T>(held + (c * V + v) * S::lanes, sum[c][v]);
  }
  for (Index j = 0; j < p.n; ++j) {
    for (int c = 0; c < C; ++c) p.c[i + c + j * p.ldc] = held[c * V * S::lanes + j];
  }
}

template <class T, int V>
void narrow_gemm(const OrderedProduct<T>& p, T* packed_b, Index packed_size) {
  using S = Shape<T>;
  constexpr int C = static_cast<int>(Narrow<T>::columns(V));
  constexpr Index width = V * S::lanes;
  const Index block = packed_size / width;
  for (Index k0 = 0; k0 < p.k; k0 += block) {
    const Index depth = p.k - k0 < block ? p.k - k0 : block;
    pack_lanes(p, k0, depth, width, packed_b);
    Index i = 0;
    for (; i + C <= p.m; i += C) narrow_tile<T, V, C>(p, i, k0, depth, packed_b);
    for (; i < p.m; ++i) narrow_tile<T, V, 1>(p, i, k0, depth, packed_b);
  }
}
