// No include guard: ordered_gemm.cpp includes this once per instruction set, after
// ordered_tiles_body.hpp.

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
