// No include guard: ordered_gemm.cpp includes this once per instruction set, inside a namespace and
// after RELGRAD_VECTOR_BYTES and RELGRAD_TILE_COLUMNS are set.

template <class T>
struct Shape {
  using Vector __attribute__((vector_size(RELGRAD_VECTOR_BYTES))) = T;
  static constexpr Index lanes = RELGRAD_VECTOR_BYTES / static_cast<Index>(sizeof(T));
  static constexpr Index rows = 2 * lanes;                              // of a tile of C
  static constexpr Index columns = RELGRAD_TILE_COLUMNS;                // of a tile of C
  static constexpr Index depth = 1024 / static_cast<Index>(sizeof(T));  // of a packed block
  static constexpr Index block_rows = rows * (256 / rows);
  static constexpr Index block_columns = 240;
};

template <class T>
RELGRAD_INLINE typename Shape<T>::Vector load(const T* from) {
  typename Shape<T>::Vector v;
  __builtin_memcpy(&v, from, sizeof(v));
  return v;
}
template <class T>
RELGRAD_INLINE void store(T* to, typename Shape<T>::Vector v) {
  __builtin_memcpy(to, &v, sizeof(v));
}

/// C (rows x N) <- chain over `depth` of packed A ([k][rows]) and packed B ([k][N]).
template <class T, int N>
void tile(Index depth, const T* a, const T* b, T* c, Index ldc, bool add) {
  using S = Shape<T>;
  using Vector = typename S::Vector;
  Vector low[N];
  Vector high[N];
#pragma GCC unroll 12
  for (int j = 0; j < N; ++j) {
    low[j] = add ? load<T>(c + j * ldc) : Vector{};
    high[j] = add ? load<T>(c + j * ldc + S::lanes) : Vector{};
  }
#pragma GCC unroll 1
  for (Index k = 0; k < depth; ++k) {
    const Vector a_low = load<T>(a);
    const Vector a_high = load<T>(a + S::lanes);
#pragma GCC unroll 12
    for (int j = 0; j < N; ++j) {
      low[j] = a_low * b[j] + low[j];
      high[j] = a_high * b[j] + high[j];
    }
    a += S::rows;
    b += N;
  }
#pragma GCC unroll 12
  for (int j = 0; j < N; ++j) {
    store<T>(c + j * ldc, low[j]);
    store<T>(c + j * ldc + S::lanes, high[j]);
  }
}

template <class T, int N = Shape<T>::columns>
void tile_of(int columns, Index depth, const T* a, const T* b, T* c, Index ldc, bool add) {
  if constexpr (N == 1) {
    tile<T, 1>(depth, a, b, c, ldc, add);
  } else {
    if (columns == N) {
      tile<T, N>(depth, a, b, c, ldc, add);
    } else {
      tile_of<T, N - 1>(columns, depth, a, b, c, ldc, add);
    }
  }
}

/// A tile with fewer rows goes through a full one: packed A is zero there.
template <class T>
void edge_tile(Index rows, int columns, Index depth, const T* a, const T* b, T* c, Index ldc,
               bool add) {
  using S = Shape<T>;
  alignas(64) T full[S::rows * S::columns] = {};
  if (add) {
    for (int j = 0; j < columns; ++j) {
      for (Index i = 0; i < rows; ++i) full[j * S::rows + i] = c[j * ldc + i];
    }
  }
  tile_of<T>(columns, depth, a, b, full, S::rows, add);
  for (int j = 0; j < columns; ++j) {
    for (Index i = 0; i < rows; ++i) c[j * ldc + i] = full[j * S::rows + i];
  }
}

/// Rows [i0, i0 + rows) and depth [k0, k0 + depth) of op(A), as panels [k][Shape::rows].
template <class T>
void pack_a(const OrderedProduct<T>& p, Index i0, Index rows, Index k0, Index depth, T* to) {
  using S = Shape<T>;
  for (Index panel = 0; panel < rows; panel += S::rows, to += S::rows * depth) {
    const Index here = rows - panel < S::rows ? rows - panel : S::rows;
    if (here < S::rows) {
      for (Index i = 0; i < S::rows * depth; ++i) to[i] = T(0);
    }
    if (!p.a_transposed) {
      const T* from = p.a + i0 + panel + k0 * p.lda;
      if (here == S::rows) {
        for (Index k = 0; k < depth; ++k, from += p.lda) {
          store<T>(to + k * S::rows, load<T>(from));
          store<T>(to + k * S::rows + S::lanes, load<T>(from + S::lanes));
        }
      } else {
        for (Index k = 0; k < depth; ++k, from += p.lda) {
          for (Index i = 0; i < here; ++i) to[k * S::rows + i] = from[i];
        }
      }
    } else {
      const T* from = p.a + k0 + (i0 + panel) * p.lda;
      if (here == S::rows) {
        transpose<T>(from, p.lda, depth, to);
      } else {
        for (Index i = 0; i < here; ++i) {
          for (Index k = 0; k < depth; ++k) to[k * S::rows + i] = from[i * p.lda + k];
        }
      }
    }
  }
}

/// Columns [j0, j0 + columns) and depth [k0, k0 + depth) of op(B), as panels [k][Shape::columns];
/// the last panel is as narrow as what is left.
template <class T>
void pack_b(const OrderedProduct<T>& p, Index j0, Index columns, Index k0, Index depth, T* to) {
  using S = Shape<T>;
  for (Index panel = 0; panel < columns; panel += S::columns) {
    const Index here = columns - panel < S::columns ? columns - panel : S::columns;
    const Index j = j0 + panel;
    if (p.b_transposed) {
      for (Index k = 0; k < depth; ++k) {
        const T* from = p.b + j + (k0 + k) * p.ldb;
        for (Index i = 0; i < here; ++i) to[k * here + i] = from[i];
      }
    } else {
      for (Index i = 0; i < here; ++i) {
        const T* from = p.b + k0 + (j + i) * p.ldb;
        for (Index k = 0; k < depth; ++k) to[k * here + i] = from[k];
      }
    }
    to += here * depth;
  }
}

template <class T>
void gemm(const OrderedProduct<T>& p, T* packed_a, T* packed_b) {
  using S = Shape<T>;
  for (Index j0 = 0; j0 < p.n; j0 += S::block_columns) {
    const Index columns = p.n - j0 < S::block_columns ? p.n - j0 : S::block_columns;
    for (Index k0 = 0; k0 < p.k; k0 += S::depth) {
      const Index depth = p.k - k0 < S::depth ? p.k - k0 : S::depth;
      const bool add = p.add || k0 > 0;
      pack_b(p, j0, columns, k0, depth, packed_b);
      for (Index i0 = 0; i0 < p.m; i0 += S::block_rows) {
        const Index rows = p.m - i0 < S::block_rows ? p.m - i0 : S::block_rows;
        pack_a(p, i0, rows, k0, depth, packed_a);
        for (Index j = 0; j < columns; j += S::columns) {
          const Index wide = columns - j < S::columns ? columns - j : S::columns;
          for (Index i = 0; i < rows; i += S::rows) {
            const Index tall = rows - i < S::rows ? rows - i : S::rows;
            const T* a = packed_a + i * depth;
            const T* b = packed_b + j * depth;
            T* c = p.c + i0 + i + (j0 + j) * p.ldc;
            if (tall == S::rows) {
              tile_of<T>(static_cast<int>(wide), depth, a, b, c, p.ldc, add);
            } else {
              edge_tile<T>(tall, static_cast<int>(wide), depth, a, b, c, p.ldc, add);
            }
          }
        }
      }
    }
  }
}
