// No include guard: ordered_gemm.cpp includes this once per instruction set, after
// ordered_gemm_body.hpp.

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

template <class T, int N = Shape<T>::columns * 2 / 3>
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
  const Panel<T> last{panels + whole * p.samples, S::rows, nullptr, false};
  edge_tile<T>(p.rows - whole, wide, p.samples, last, right, tile + whole, p.rows, false);
}

/// Columns of the next tile when `left` are left. Few samples end a tile before more columns than
/// these would pay.
template <class T>
Index outer_width(Index left) {
  constexpr Index most = Shape<T>::columns * 2 / 3;
  return left <= most ? left : left < 2 * most ? (left + 1) / 2 : most;
}

template <class T, class L>
void pass_of(const OrderedPass<T>& p, const OrderedProduct<T>& product, const T* lanes,
             const T* panels, T* tile) {
  constexpr Index most = L::columns;
  const Index fit = bytes_of_pass_tile / (p.rows * static_cast<Index>(sizeof(T))) / most * most;
  const Index together = fit > most ? fit : most;
  for (Index begin = 0; begin < p.columns; begin += together) {
    const Index end = begin + together < p.columns ? begin + together : p.columns;
    for (Index j = begin; j < end; j += most) {
      const Index next = std::min(j + most, end);
      narrow_rows<T, L>(product, j, next, 0, p.rows, lanes);
      for (Index from = j, wide = 0; from < next; from += wide) {
        wide = outer_width<T>(next - from);
        pass_tile(p, from, wide, panels, tile + (from - begin) * p.rows);
      }
    }
    p.move(begin, end - begin, tile);
  }
}

template <class T>
void pass(const OrderedPass<T>& p, T* room) {
  using S = Shape<T>;
  const OrderedProduct<T> product{true,      false,  p.columns, p.count,    p.rows,    p.w, p.rows,
                                  p.factors, p.rows, false,     p.products, p.columns, {}};
  const Index rows = (p.rows + S::rows - 1) / S::rows * S::rows;
  with_lanes_for<T>(p.count, [&](auto of) {
    using L = decltype(of);
    T* const lanes = room;
    T* const panels = lanes + rows * L::vectors * S::lanes;
    pack_lanes<T, L>(product, 0, p.rows, lanes);
    pack_panels(p, panels);
    pass_of<T, L>(p, product, lanes, panels, panels + rows * p.samples);
  });
}
