// No include guard: ordered_gemm.cpp includes this once per instruction set, inside a namespace and
// after RELGRAD_VECTOR_BYTES and RELGRAD_TILE_COLUMNS are set.

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
  Index fetches;  // while it keeps: brings near what lies so many numbers below; 0: nothing
};

/// C (rows x N) <- chain over `depth` of A and packed B ([k][N]).
template <class T, int N, bool keeps>
void tile(Index depth, Panel<T> a, const T* b, T* c, Index ldc, bool add) {
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
      if (a.fetches > 0) {
        __builtin_prefetch(a.from + a.fetches + S::rows - 1);
        if constexpr (S::rows * sizeof(T) > 64)
          __builtin_prefetch(a.from + a.fetches + S::lanes - 1);
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
  const Panel<T> packed{packed_a, S::rows, nullptr, 0};
  Panel<T> a = packed;
  if (!p.a_transposed && tall == S::rows) {
    const Index next_panel = tiles < PanelBelow<T>::least_tiles ? S::rows : 0;
    a = {p.a + i + k0 * p.lda, p.lda, packed_a, next_panel};
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
    if (tall == S::rows) {
      tile_of<T>(static_cast<int>(wide), depth, a, packed_b + j * depth, c, p.ldc, add);
    } else {
      edge_tile<T>(tall, static_cast<int>(wide), depth, a, packed_b + j * depth, c, p.ldc, add);
    }
    a = packed;
  }
}

// A B with few columns of B: a few whole columns of A at a time, from top to bottom, as they lie in
// memory; more of them side by side fall on the same places of the cache where their distance is a
// multiple of 4096 bytes. C waits in panels, [row / S::rows][column][row % S::rows].
template <class T>
struct Shallow {
  using S = Shape<T>;
  static constexpr Index depth = 8;                     // columns of A at a time
  static constexpr Index most = 2 * S::columns;         // columns of B
  static constexpr Index ahead = 256;                   // numbers; what is brought near
  static constexpr Index least_bytes = Index{8} << 20;  // of A; less stays in the last cache
  static bool fits(const OrderedProduct<T>& p) {
    return !p.a_transposed && !p.b_transposed && p.n > 1 && p.n <= most &&
           p.m * p.k * static_cast<Index>(sizeof(T)) >= least_bytes;
  }
};

template <class T>
void shallow_panel(const OrderedProduct<T>& p, Index i, Index k0, Index depth, T* packed_a,
                   const T* packed_b, T* panel) {
  using S = Shape<T>;
  const Panel<T> packed{packed_a, S::rows, nullptr, 0};
  Panel<T> a = packed;
  if (i + S::rows <= p.m) {
    a = {p.a + i + k0 * p.lda, p.lda, packed_a,
         i + Shallow<T>::ahead < p.m ? Shallow<T>::ahead : 0};
  } else {
    pack_a(p, i, p.m - i, k0, depth, packed_a);
  }
  for (Index j = 0, wide = 0; j < p.n; j += wide, a = packed) {
    wide = tile_width<T>(p.n - j);
    tile_of<T>(static_cast<int>(wide), depth, a, packed_b + j * depth, panel + j * S::rows, S::rows,
               true);
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
      pack_b(p, 0, p.n, k0, depth, packed_b);
      each_panel([&](Index i, Index, T* panel) {
        shallow_panel(p, i, k0, depth, packed_a, packed_b, panel);
      });
    }
    each_panel([&](Index i, Index rows, const T* panel) {
      for (Index j = 0; j < p.n; ++j) {
        for (Index r = 0; r < rows; ++r) p.c[i + r + j * p.ldc] = panel[j * S::rows + r];
      }
    });
  }
}

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

/// to[panel][sample][S::rows] = left, zero below the last row.
template <class T>
void pack_panels(const OrderedPass<T>& p, T* to) {
  using S = Shape<T>;
  for (Index i = 0; i < p.rows; i += S::rows, to += S::rows * p.samples) {
    for (Index n = 0; n < p.samples; ++n) {
      const T* from = p.left + i + n * p.rows;
      for (Index r = 0; r < S::rows; ++r) to[n * S::rows + r] = i + r < p.rows ? from[r] : T(0);
    }
  }
}

/// tile = left right^T for whole panels of `left` ([sample][S::rows]) and N columns; `right` is
/// [sample][N]. One loop over all panels: with few samples a call for each would cost as much
/// again.
template <class T, int N>
void outer_panels(Index rows, Index samples, const T* panel, const T* right, T* tile) {
  using S = Shape<T>;
  using Vector = typename S::Vector;
  for (Index i = 0; i + S::rows <= rows; i += S::rows) {
    Vector low[N];
    Vector high[N];
#pragma GCC unroll 12
    for (int j = 0; j < N; ++j) low[j] = high[j] = Vector{};
    const T* b = right;
#pragma GCC unroll 2
    for (Index n = 0; n < samples; ++n) {
      const Vector a_low = load<T>(panel);
      const Vector a_high = load<T>(panel + S::lanes);
#pragma GCC unroll 12
      for (int j = 0; j < N; ++j) {
        low[j] = a_low * b[j] + low[j];
        high[j] = a_high * b[j] + high[j];
      }
      panel += S::rows;
      b += N;
    }
#pragma GCC unroll 12
    for (int j = 0; j < N; ++j) {
      store<T>(tile + i + j * rows, low[j]);
      store<T>(tile + i + j * rows + S::lanes, high[j]);
    }
  }
}

template <class T, int N = Shape<T>::columns>
void outer_panels_of(int columns, Index rows, Index samples, const T* panels, const T* right,
                     T* tile) {
  if constexpr (N > 1) {
    if (columns < N) {
      return outer_panels_of<T, N - 1>(columns, rows, samples, panels, right, tile);
    }
  }
  outer_panels<T, N>(rows, samples, panels, right, tile);
}

/// left right^T in columns [j, j + columns): `tile`, rows x columns.
template <class T>
void pass_tile(const OrderedPass<T>& p, Index j, Index columns, const T* panels, T* tile) {
  using S = Shape<T>;
  alignas(64) T right[S::columns * Narrow<T>::most];  // as [sample][column]
  for (Index n = 0; n < p.samples; ++n) {
    const T* from = p.products + j + (p.count - p.samples + n) * p.columns;
    for (Index c = 0; c < columns; ++c) right[n * columns + c] = from[c];
  }
  const int wide = static_cast<int>(columns);
  outer_panels_of<T>(wide, p.rows, p.samples, panels, right, tile);
  const Index whole = p.rows / S::rows * S::rows;
  if (whole == p.rows) return;
  const Panel<T> last{panels + whole * p.samples, S::rows, nullptr, 0};
  edge_tile<T>(p.rows - whole, wide, p.samples, last, right, tile + whole, p.rows, false);
}

template <class T, int V>
void pass_of(const OrderedPass<T>& p, const T* lanes, const T* panels, T* tile) {
  using S = Shape<T>;
  constexpr Index most = Narrow<T>::columns(V);
  const OrderedProduct<T> product{true,      false,  p.columns, p.count,    p.rows,    p.w, p.rows,
                                  p.factors, p.rows, false,     p.products, p.columns, {}};
  const Index fit = bytes_of_pass_tile / (p.rows * static_cast<Index>(sizeof(T))) / most * most;
  const Index together = fit > most ? fit : most;
  for (Index begin = 0; begin < p.columns; begin += together) {
    const Index end = begin + together < p.columns ? begin + together : p.columns;
    for (Index j = begin; j < end; j += most) {
      const Index next = j + most < end ? j + most : end;
      if (next == j + most) {
        narrow_tile<T, V, static_cast<int>(most)>(product, j, 0, p.rows, lanes);
      } else {
        for (Index i = j; i < next; ++i) narrow_tile<T, V, 1>(product, i, 0, p.rows, lanes);
      }
      for (Index from = j; from < next; from += S::columns) {
        const Index columns = next - from < S::columns ? next - from : S::columns;
        pass_tile(p, from, columns, panels, tile + (from - begin) * p.rows);
      }
    }
    p.move(begin, end - begin, tile);
  }
}

template <class T>
void pass(const OrderedPass<T>& p, T* room) {
  using S = Shape<T>;
  const int vectors = static_cast<int>((p.count + S::lanes - 1) / S::lanes);
  const Index width = vectors * S::lanes;
  const Index rows = (p.rows + S::rows - 1) / S::rows * S::rows;
  T* const lanes = room;
  T* const panels = lanes + rows * width;
  T* const tile = panels + rows * p.samples;
  const OrderedProduct<T> factors{true,      false,  p.columns, p.count, p.rows,    p.w, p.rows,
                                  p.factors, p.rows, false,     nullptr, p.columns, {}};
  pack_lanes(factors, 0, p.rows, width, lanes);
  pack_panels(p, panels);
  if (vectors == 1) return pass_of<T, 1>(p, lanes, panels, tile);
  if (vectors == 2) return pass_of<T, 2>(p, lanes, panels, tile);
  return pass_of<T, 3>(p, lanes, panels, tile);
}
