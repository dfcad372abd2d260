// No include guard: a part of ordered_gemm_body.hpp.

template <class T>
struct Shape {
  using Vector __attribute__((vector_size(RELGRAD_VECTOR_BYTES))) = T;
  static constexpr Index lanes = RELGRAD_VECTOR_BYTES / static_cast<Index>(sizeof(T));
  static constexpr Index rows = 2 * lanes;                // of a tile of C
  static constexpr Index columns = RELGRAD_TILE_COLUMNS;  // of a tile of C
  // A panel of A (32 or 16 KiB) stays near the first-level cache, a block of B in the second.
  static constexpr Index depth = 1024 / static_cast<Index>(sizeof(T));
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

/// Where a tile finds op(A): element (i, k) at from[i + k * stride]. With `keep`, what is read also
/// goes there, packed as [k][rows], for the tiles beside this one; without, it is so packed
/// already.
template <class T>
struct Panel {
  const T* from;
  Index stride;
  T* keep;
  bool fetches_next;  // while it keeps: the panel below is brought near
};

/// C (rows x N) <- chain over `depth` of A and packed B ([k][N]).
template <class T, int N, bool keeps>
RELGRAD_INLINE void tile(Index depth, Panel<T> a, const T* b, T* c, Index ldc, bool add) {
  using S = Shape<T>;
  using Vector = typename S::Vector;
  Vector low[N];
  Vector high[N];
#pragma GCC unroll 12
  for (int j = 0; j < N; ++j) {
    low[j] = add ? load<T>(c + j * ldc) : Vector{};
    high[j] = add ? load<T>(c + j * ldc + S::lanes) : Vector{};
  }
  const auto add_next_k = [&] {
    const Vector a_low = load<T>(a.from);
    const Vector a_high = load<T>(a.from + S::lanes);
    if constexpr (keeps) {
      if (a.fetches_next) {
        __builtin_prefetch(a.from + 2 * S::rows - 1);  // of the next panel, the same k
        if constexpr (S::rows * sizeof(T) > 64) __builtin_prefetch(a.from + S::rows + S::lanes - 1);
      }
      store<T>(a.keep, a_low);
      store<T>(a.keep + S::lanes, a_high);
      a.keep += S::rows;
    }
#pragma GCC unroll 12
    for (int j = 0; j < N; ++j) {
      low[j] = a_low * b[j] + low[j];
      high[j] = a_high * b[j] + high[j];
    }
    a.from += keeps ? a.stride : S::rows;
    b += N;
  };
  if constexpr (keeps) {
#pragma GCC unroll 1
    for (Index k = 0; k < depth; ++k) add_next_k();
  } else {
#pragma GCC unroll 4
    for (Index k = 0; k < depth; ++k) add_next_k();
  }
#pragma GCC unroll 12
  for (int j = 0; j < N; ++j) {
    store<T>(c + j * ldc, low[j]);
    store<T>(c + j * ldc + S::lanes, high[j]);
  }
}

template <class T, int N = Shape<T>::columns>
void tile_of(int columns, Index depth, const Panel<T>& a, const T* b, T* c, Index ldc, bool add) {
  if constexpr (N > 1) {
    if (columns < N) return tile_of<T, N - 1>(columns, depth, a, b, c, ldc, add);
  }
  if (a.keep != nullptr) {
    tile<T, N, true>(depth, a, b, c, ldc, add);
  } else {
    tile<T, N, false>(depth, a, b, c, ldc, add);
  }
}

/// A tile with fewer rows goes through a full one: packed A is zero there.
template <class T>
void edge_tile(Index rows, int columns, Index depth, const Panel<T>& a, const T* b, T* c, Index ldc,
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

/// Rows [i, i + rows) and depth [k0, k0 + depth) of op(A), as [k][Shape::rows].
template <class T>
void pack_a(const OrderedProduct<T>& p, Index i, Index rows, Index k0, Index depth, T* to) {
  using S = Shape<T>;
  if (p.a_transposed && rows == S::rows) {
    transpose_panel<T, S::rows>(p.a + k0 + i * p.lda, p.lda, depth, to);
    return;
  }
  for (Index k = 0; k < depth; ++k, to += S::rows) {
    for (Index r = 0; r < rows; ++r) {
      to[r] = p.a_transposed ? p.a[k0 + k + (i + r) * p.lda] : p.a[i + r + (k0 + k) * p.lda];
    }
    for (Index r = rows; r < S::rows; ++r) to[r] = T(0);
  }
}

/// Columns of the next tile when `left` are left. Tiles of one or two columns are slow: a chain of
/// multiply-adds has its latency. The last but one gives some of its own.
template <class T>
RELGRAD_INLINE Index tile_width(Index left) {
  constexpr Index most = Shape<T>::columns;
  constexpr Index least = most / 2 + 1;
  return left <= most ? left : left < most + least - 1 ? (left + 1) / 2 : most;
}

/// Columns [j0, j0 + columns) and depth [k0, k0 + depth) of op(B), as panels [k][tile_width].
template <class T>
void pack_b(const OrderedProduct<T>& p, Index j0, Index columns, Index k0, Index depth, T* to) {
  for (Index panel = 0, here = 0; panel < columns; panel += here) {
    here = tile_width<T>(columns - panel);
    const Index j = j0 + panel;
    if (p.b_transposed) {
      for (Index k = 0; k < depth; ++k) {
        const T* from = p.b + j + (k0 + k) * p.ldb;
        for (Index i = 0; i < here; ++i) to[k * here + i] = from[i];
      }
    } else {
      Index i = 0;
      for (; i + 4 <= here; i += 4) {
        interleave_4<T>(p.b + k0 + (j + i) * p.ldb, p.ldb, depth, to + i, here);
      }
      for (; i < here; ++i) {
        const T* from = p.b + k0 + (j + i) * p.ldb;
        for (Index k = 0; k < depth; ++k) to[k * here + i] = from[k];
      }
    }
    to += here * depth;
  }
}

/// Brings the next panel of op(A) into the second level of cache, the same share beside every tile
/// of this panel: at once it would wait for memory, whose columns lie far apart.
template <class T>
class PanelBelow {
 public:
  static constexpr Index least_tiles = 5;  // with fewer a tile has no time for its share

  PanelBelow(const OrderedProduct<T>& p, Index i, Index k0, Index depth, Index tiles) {
    if (tiles < least_tiles || i + Shape<T>::rows > p.m) return;
    at_ = p.a_transposed ? p.a + k0 + i * p.lda : p.a + i + k0 * p.lda;
    stride_ = p.lda;
    // from the last number of a run's first line: where it does not begin on a line, the next one
    run_ = ((p.a_transposed ? depth : Shape<T>::rows) + line - 1) / line;
    left_ = run_ * (p.a_transposed ? Shape<T>::rows : depth);
    share_ = (left_ + tiles - 1) / tiles;
  }
  RELGRAD_INLINE void fetch_share() {
    for (Index n = share_ < left_ ? share_ : left_; n > 0; --n, --left_) {
      __builtin_prefetch(at_ + in_run_ * line + (line - 1), 0, 2);
      if (++in_run_ < run_) continue;
      in_run_ = 0;
      at_ += stride_;
    }
  }

 private:
  static constexpr Index line = 64 / static_cast<Index>(sizeof(T));
  const T* at_ = nullptr;  // a column of A: its part in this panel is one run of lines
  Index stride_ = 0;
  Index run_ = 0;     // lines
  Index in_run_ = 0;  // fetched of this one
  Index left_ = 0;    // lines of the panel
  Index share_ = 0;
};

/// Brings the lines of a tile of C into the first level of cache, to be added to and written.
template <class T>
RELGRAD_INLINE void fetch_tile(const T* c, Index ldc) {
  using S = Shape<T>;
  constexpr Index line = 64 / static_cast<Index>(sizeof(T));
#pragma GCC unroll 12
  for (Index j = 0; j < S::columns; ++j) {
    for (Index i = line - 1; i < S::rows; i += line) __builtin_prefetch(c + i + j * ldc, 1);
  }
}

/// One panel of rows of C, all its columns of this block: A is read once from where it lies and
/// packed on the way, if it need not be turned; it stays in the first-level cache.
template <class T>
void panel_of(const OrderedProduct<T>& p, Index i, Index j0, Index columns, Index k0, Index depth,
              T* packed_a, const T* packed_b, NextBlocks& next) {
  using S = Shape<T>;
  const Index tall = p.m - i < S::rows ? p.m - i : S::rows;
  const bool add = p.add || k0 > 0;
  const Index tiles = (columns + S::columns - 1) / S::columns;
  const Panel<T> packed{packed_a, S::rows, nullptr, false};
  Panel<T> a = packed;
  if (!p.a_transposed && tall == S::rows) {
    a = {p.a + i + k0 * p.lda, p.lda, packed_a, tiles < PanelBelow<T>::least_tiles};
  } else {
    pack_a(p, i, tall, k0, depth, packed_a);
  }
  PanelBelow<T> below(p, i + S::rows, k0, depth, tiles);
  for (Index j = 0, wide = 0; j < columns; j += wide) {
    wide = tile_width<T>(columns - j);
    below.fetch_share();
    if (k0 + depth == p.k) next.fetch(tall * wide * static_cast<Index>(sizeof(T)));
    T* c = p.c + i + (j0 + j) * p.ldc;
    fetch_tile(j + wide < columns ? c + wide * p.ldc : p.c + i + S::rows + j0 * p.ldc, p.ldc);
    if (tall == S::rows && wide == S::columns && a.keep == nullptr) {  // most of them: no calls
      tile<T, S::columns, false>(depth, a, packed_b + j * depth, c, p.ldc, add);
    } else if (tall == S::rows) {
      tile_of<T>(static_cast<int>(wide), depth, a, packed_b + j * depth, c, p.ldc, add);
    } else {
      edge_tile<T>(tall, static_cast<int>(wide), depth, a, packed_b + j * depth, c, p.ldc, add);
    }
    a = packed;
  }
}
