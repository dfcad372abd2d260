// No include guard: a part of ordered_gemm_body.hpp.

// A B with few columns of B: a few whole columns of A at a time, from top to bottom, as they lie in
// memory; more of them side by side fall on the same places of the cache where their distance is a
// multiple of 4096 bytes. C waits in panels, [row / S::rows][column][row % S::rows].
template <class T>
struct Shallow {
  using S = Shape<T>;
  static constexpr Index depth = 8;            // columns of A at a time
  static constexpr int most = 2 * S::columns;  // columns of B
  static constexpr Index ahead = 256;          // numbers; what is brought near
  /// With less of A, which then stays in the last cache, packed panels are as fast; where one tile
  /// takes all columns of B, packing never pays.
  static bool fits(const OrderedProduct<T>& p) {
    const Index least_bytes = p.n <= S::columns ? Index{1} << 20 : Index{8} << 20;
    return !p.a_transposed && !p.b_transposed && p.n > 1 && p.n <= most &&
           p.m * p.k * static_cast<Index>(sizeof(T)) >= least_bytes;
  }
};

/// C (rows x N, columns S::rows apart) += `depth` columns of A times B ([k][n], N of its columns).
template <class T, int N, bool whole, bool fetches>
RELGRAD_INLINE void shallow_tile(Index depth, const T* a, Index lda, const T* b, Index n, T* c) {
  using S = Shape<T>;
  using Vector = typename S::Vector;
  Vector low[N];
  Vector high[N];
#pragma GCC unroll 12
  for (int j = 0; j < N; ++j) {
    low[j] = load<T>(c + j * S::rows);
    high[j] = load<T>(c + j * S::rows + S::lanes);
  }
  const auto add = [&](Index k) {
    const Vector a_low = load<T>(a + k * lda);
    const Vector a_high = load<T>(a + k * lda + S::lanes);
    if constexpr (fetches) __builtin_prefetch(a + k * lda + Shallow<T>::ahead + S::rows - 1);
    if constexpr (fetches && S::rows * sizeof(T) > 64) {
      __builtin_prefetch(a + k * lda + Shallow<T>::ahead + S::lanes - 1);
    }
#pragma GCC unroll 12
    for (int j = 0; j < N; ++j) {
      low[j] = a_low * b[k * n + j] + low[j];
      high[j] = a_high * b[k * n + j] + high[j];
    }
  };
  if constexpr (whole) {
#pragma GCC unroll 8
    for (Index k = 0; k < Shallow<T>::depth; ++k) add(k);
  } else {
    for (Index k = 0; k < depth; ++k) add(k);
  }
#pragma GCC unroll 12
  for (int j = 0; j < N; ++j) {
    store<T>(c + j * S::rows, low[j]);
    store<T>(c + j * S::rows + S::lanes, high[j]);
  }
}

/// All panels of `rows` rows, whole ones, and n = first + second columns of B. A is read twice, the
/// second time from the first-level cache: packing it would cost more.
template <class T, int first, int second, bool whole>
void shallow_panels(Index rows, Index depth, const T* a, Index lda, const T* b, T* panel) {
  using S = Shape<T>;
  constexpr Index n = first + second;
  for (Index i = 0; i < rows; i += S::rows, a += S::rows, panel += S::rows * n) {
    if (i + Shallow<T>::ahead < rows) {
      shallow_tile<T, first, whole, true>(depth, a, lda, b, n, panel);
    } else {
      shallow_tile<T, first, whole, false>(depth, a, lda, b, n, panel);
    }
    if constexpr (second > 0) {
      shallow_tile<T, second, whole, false>(depth, a, lda, b + first, n, panel + first * S::rows);
    }
  }
}

template <class T, int N = Shallow<T>::most>
void shallow_panels_of(Index n, Index rows, Index depth, const T* a, Index lda, const T* b,
                       T* panels) {
  if constexpr (N > 1) {
    if (n < N) return shallow_panels_of<T, N - 1>(n, rows, depth, a, lda, b, panels);
  }
  constexpr int first = N > Shape<T>::columns ? (N + 1) / 2 : N;
  if (depth == Shallow<T>::depth) {
    shallow_panels<T, first, N - first, true>(rows, depth, a, lda, b, panels);
  } else {
    shallow_panels<T, first, N - first, false>(rows, depth, a, lda, b, panels);
  }
}

/// @param panels  room for `size` numbers
template <class T>
void shallow_gemm(const OrderedProduct<T>& whole, T* panels, Index size, T* packed) {
  using S = Shape<T>;
  T* const packed_a = packed;
  T* const packed_b = packed + Shallow<T>::depth * S::rows;
  const Index most_rows = size / whole.n / S::rows * S::rows;
  for (Index begin = 0; begin < whole.m; begin += most_rows) {
    OrderedProduct<T> p = whole;
    p.a += begin;
    p.c += begin;
    p.m = whole.m - begin < most_rows ? whole.m - begin : most_rows;
    const Index whole_rows = p.m / S::rows * S::rows;
    const auto each_panel = [&](const auto& visit) {
      for (Index i = 0; i < p.m; i += S::rows) {
        visit(i, p.m - i < S::rows ? p.m - i : S::rows, panels + i * p.n);
      }
    };
    each_panel([&](Index i, Index rows, T* panel) {
      for (Index j = 0; j < p.n; ++j) {
        for (Index r = 0; r < S::rows; ++r) {
          panel[j * S::rows + r] = p.add && r < rows ? p.c[i + r + j * p.ldc] : T(0);
        }
      }
    });
    for (Index k0 = 0; k0 < p.k; k0 += Shallow<T>::depth) {
      const Index depth = p.k - k0 < Shallow<T>::depth ? p.k - k0 : Shallow<T>::depth;
      for (Index k = 0; k < depth; ++k) {
        for (Index j = 0; j < p.n; ++j) packed_b[k * p.n + j] = p.b[k0 + k + j * p.ldb];
      }
      shallow_panels_of<T>(p.n, whole_rows, depth, p.a + k0 * p.lda, p.lda, packed_b, panels);
      if (whole_rows == p.m) continue;
      pack_a(p, whole_rows, p.m - whole_rows, k0, depth, packed_a);
      shallow_panels_of<T>(p.n, S::rows, depth, packed_a, S::rows, packed_b,
                           panels + whole_rows * p.n);
    }
    each_panel([&](Index i, Index rows, const T* panel) {
      for (Index j = 0; j < p.n; ++j) {
        for (Index r = 0; r < rows; ++r) p.c[i + r + j * p.ldc] = panel[j * S::rows + r];
      }
    });
  }
}
