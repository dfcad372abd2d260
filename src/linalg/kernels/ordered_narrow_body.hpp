// No include guard: a part of ordered_gemm_body.hpp.

// A^T B with few columns of B: the lanes are columns of B, and A is read as it lies, a few columns
// side by side from top to bottom, without being turned.

/// How columns of B fill vectors. `own` vectors hold as many columns of B as they have lanes. With
/// shared > 1 one more holds those left, `shared` times side by side, each time for another column
/// of A: of 10 columns in vectors of 8 lanes two are left, and lanes (0 1 | 0 1 | 0 1 | 0 1) go
/// with columns of A (0 0 | 1 1 | 2 2 | 3 3).
template <int own_vectors, int shared_by>
struct ColumnLanes {
  static constexpr int own = own_vectors;
  static constexpr int shared = shared_by;
  static constexpr int vectors = own + (shared > 1 ? 1 : 0);
  /// Columns of A beside one another: as many sums as hide the latency of one.
  static constexpr int columns = shared == 1 ? 12 / own : 8 / own;
  using Whole = ColumnLanes<vectors, 1>;  // lies the same for a column of A on its own
};

template <class T>
struct Narrow {
  static constexpr Index most = 3 * Shape<T>::lanes;  // columns of B
};

/// visit(ColumnLanes for n columns of B), 1 ... Narrow::most.
template <class T, class Visit>
void with_lanes_for(Index n, const Visit& visit) {
  constexpr Index lanes = Shape<T>::lanes;
  const Index left = n % lanes;
  const bool quarter = left > 0 && left <= lanes / 4;
  const bool half = left > 0 && left <= lanes / 2;
  if (n <= lanes) return visit(ColumnLanes<1, 1>{});
  if (n <= 2 * lanes) {
    return quarter ? visit(ColumnLanes<1, 4>{})
           : half  ? visit(ColumnLanes<1, 2>{})
                   : visit(ColumnLanes<2, 1>{});
  }
  return quarter ? visit(ColumnLanes<2, 4>{})
         : half  ? visit(ColumnLanes<2, 2>{})
                 : visit(ColumnLanes<3, 1>{});
}

/// to[k][L::vectors * lanes] = columns of B, zero beyond the last.
template <class T, class L>
void pack_lanes(const OrderedProduct<T>& p, Index k0, Index depth, T* to) {
  constexpr Index lanes = Shape<T>::lanes;
  constexpr Index width = L::vectors * lanes;
  for (Index at = 0; at < width; ++at) {
    const Index j = at < L::own * lanes ? at : L::own * lanes + at % (lanes / L::shared);
    const T* from = p.b + k0 + j * p.ldb;
    for (Index k = 0; k < depth; ++k) to[k * width + at] = j < p.n ? from[k] : T(0);
  }
}

/// The sums of a tile: C columns of A, each with its own vectors, and those that share.
template <class T, class L, int C>
struct NarrowSums {
  using S = Shape<T>;
  using Vector = typename S::Vector;
  static constexpr Index lanes = S::lanes;
  static constexpr int groups = L::shared > 1 ? C / L::shared : 0;
  Vector own[C][L::own];
  Vector shared[groups > 0 ? groups : 1];

  /// Where column j of B with column c of A is, in numbers from the first.
  static constexpr Index place(Index c, Index j) {
    if (groups == 0 || j < L::own * lanes) return c * L::own * lanes + j;
    return C * L::own * lanes + c / L::shared * lanes + c % L::shared * (lanes / L::shared) + j -
           L::own * lanes;
  }

  RELGRAD_INLINE void load_from(const T* held) {
#pragma GCC unroll 12
    for (int c = 0; c < C; ++c) {
#pragma GCC unroll 3
      for (int v = 0; v < L::own; ++v) own[c][v] = load<T>(held + (c * L::own + v) * lanes);
    }
#pragma GCC unroll 12
    for (int g = 0; g < groups; ++g) shared[g] = load<T>(held + (C * L::own + g) * lanes);
  }
  RELGRAD_INLINE void store_to(T* held) const {
#pragma GCC unroll 12
    for (int c = 0; c < C; ++c) {
#pragma GCC unroll 3
      for (int v = 0; v < L::own; ++v) store<T>(held + (c * L::own + v) * lanes, own[c][v]);
    }
#pragma GCC unroll 12
    for (int g = 0; g < groups; ++g) store<T>(held + (C * L::own + g) * lanes, shared[g]);
  }
  /// Columns [begin, end) of A. @param a  element (k, 0) of A; @param b  [vectors * lanes] of this
  /// k
  template <int begin, int end>
  RELGRAD_INLINE void add(const T* a, Index lda, const T* b) {
    constexpr int part = static_cast<int>(lanes) / L::shared;
    Vector of_b[L::own];
#pragma GCC unroll 3
    for (int v = 0; v < L::own; ++v) of_b[v] = load<T>(b + v * lanes);
    Vector side_by_side{};
#pragma GCC unroll 12
    for (int c = begin; c < end; ++c) {
      Vector of_a = a[c * lda] - Vector{};
      // Its value is hidden from the compiler, which would put `side_by_side` together from scalars
      // again instead of blending.
      if constexpr (groups > 0) asm("" : "+v"(of_a));
#pragma GCC unroll 3
      for (int v = 0; v < L::own; ++v) own[c][v] = of_b[v] * of_a + own[c][v];
      if constexpr (groups > 0) {
        const int q = c % L::shared;
        if (q == 0) side_by_side = of_a;
        if (q == 1) side_by_side = joined<part>(side_by_side, of_a);
        if (q == 2) side_by_side = joined<2 * part>(side_by_side, of_a);
        if (q == 3) side_by_side = joined<3 * part>(side_by_side, of_a);
        if (q == L::shared - 1) {
          Vector& sum = shared[c / L::shared];
          sum = load<T>(b + L::own * lanes) * side_by_side + sum;
        }
      }
    }
  }
};

/// Rows [i, i + C) of C, all its columns, over `depth` of A and B. With `apart` the second half of
/// the columns of A follows some lines of cache behind the first.
template <class T, class L, int C, bool apart>
void narrow_tile(const OrderedProduct<T>& p, Index i, Index k0, Index depth, const T* b) {
  using Sums = NarrowSums<T, L, C>;
  constexpr Index width = L::vectors * Sums::lanes;
  constexpr Index behind = apart ? 1024 / static_cast<Index>(sizeof(T)) : 0;
  constexpr int first = apart ? C / 2 : C;
  alignas(64) T held[(C * L::own + Sums::groups) * Sums::lanes] = {};
  const bool add = p.add || k0 > 0;
  for (Index j = 0; add && j < p.n; ++j) {
    for (Index c = 0; c < C; ++c) held[Sums::place(c, j)] = p.c[i + c + j * p.ldc];
  }
  Sums sums;
  sums.load_from(held);
  const T* const a = p.a + k0 + i * p.lda;
  const Index lag = behind < depth ? behind : depth;
  Index k = 0;
#pragma GCC unroll 1
  for (; k < lag; ++k) sums.template add<0, first>(a + k, p.lda, b + k * width);
  const T* b_of_k = b + lag * width;
#pragma GCC unroll 1
  for (; k < depth; ++k, b_of_k += width) {
    sums.template add<0, first>(a + k, p.lda, b_of_k);
    sums.template add<first, C>(a + k - behind, p.lda, b_of_k - behind * width);
  }
#pragma GCC unroll 1
  for (k = depth - lag; k < depth; ++k) {
    sums.template add<first, C>(a + k, p.lda, b + k * width);
  }
  sums.store_to(held);
  for (Index j = 0; j < p.n; ++j) {
    for (Index c = 0; c < C; ++c) p.c[i + c + j * p.ldc] = held[Sums::place(c, j)];
  }
}

/// Rows [begin, end) of C, at most L::columns.
template <class T, class L>
void narrow_rows(const OrderedProduct<T>& p, Index begin, Index end, Index k0, Index depth,
                 const T* b) {
  // Lines of eight columns and of B do not fit where all of them fall on the same place of the
  // first-level cache.
  const bool collides = p.lda * static_cast<Index>(sizeof(T)) % 4096 == 0;
  if (end - begin < L::columns) {
    for (Index i = begin; i < end; ++i) {
      narrow_tile<T, typename L::Whole, 1, false>(p, i, k0, depth, b);
    }
  } else if (L::columns >= 8 && collides) {
    narrow_tile<T, L, L::columns, L::columns >= 8>(p, begin, k0, depth, b);
  } else {
    narrow_tile<T, L, L::columns, false>(p, begin, k0, depth, b);
  }
}

template <class T, class L>
void narrow_gemm(const OrderedProduct<T>& p, T* packed_b, Index packed_size) {
  constexpr Index width = L::vectors * Shape<T>::lanes;
  const Index block = packed_size / width;
  for (Index k0 = 0; k0 < p.k; k0 += block) {
    const Index depth = p.k - k0 < block ? p.k - k0 : block;
    pack_lanes<T, L>(p, k0, depth, packed_b);
    for (Index i = 0; i < p.m; i += L::columns) {
      narrow_rows<T, L>(p, i, std::min<Index>(i + L::columns, p.m), k0, depth, packed_b);
    }
  }
}
