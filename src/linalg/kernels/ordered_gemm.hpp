#pragma once
/// A matrix product whose every element is one chain of fused multiply-adds in the order of k:
///   c <- fma(a_k, b_k, c), k = 0, 1, ..., K - 1, starting from 0 or from the c that was there.
/// An element's bits therefore depend on its own row and column alone: not on the shape of the
/// call, the place of the column in it, the number of threads or the width of the CPU's vectors.
#include <array>
#include <functional>

#include "relgrad/core/types.hpp"

namespace relgrad::kernels {

/// op(A) m x k and op(B) k x n, column-major with leading dimensions lda and ldb; transposed where
/// the flag says so. With `add` the chain starts from c, else from 0. Uses OpenMP threads over the
/// elements of C.
template <class T>
struct OrderedProduct {
  bool a_transposed, b_transposed;
  Index m, n, k;
  const T* a;
  Index lda;
  const T* b;
  Index ldb;
  bool add;
  T* c;
  Index ldc;
  /// Blocks of m n numbers that are brought near while the product is computed; null: none.
  std::array<const T*, 3> read_next = {};
};

/// The widest vectors a product may use; the CPU may have less.
enum class Vectors { none, bits_256, bits_512 };

void ordered_gemm(const OrderedProduct<float>& product, Vectors widest = Vectors::bits_512);
void ordered_gemm(const OrderedProduct<double>& product, Vectors widest = Vectors::bits_512);

/// Two products and what `move` does with them, in one pass over the columns of W, as many at a
/// time as there are registers for, or more while a tile of them is small (64 KiB): they are still
/// in cache when `move` changes them.
///   products = W^T factors          columns x count
///   tile = left right^T             rows x some columns; right = last `samples` columns of
///   products
/// Elements are chains as above: over the rows of W, and over the samples.
template <class T>
struct OrderedPass {
  Index rows, columns;  // of W, column-major without gaps, as are all matrices here
  const T* w;
  const T* left;  // rows x samples
  Index samples;
  const T* factors;  // rows x count
  Index count;
  T* products;
  /// Columns [begin, begin + columns) have been read; `tile` is theirs.
  std::function<void(Index begin, Index columns, const T* tile)> move;
};

/// The most columns that `factors` may have; 0: this CPU has no such kernel.
template <class T>
Index widest_pass(Vectors widest = Vectors::bits_512);
/// Numbers that a pass works in, for `rows` rows of W and any `factors`.
template <class T>
Index room_of_pass(Index rows, Vectors widest = Vectors::bits_512);
/// On one thread. @param room  room_of_pass numbers, from the begin of a line of cache
template <class T>
void ordered_pass(const OrderedPass<T>& pass, T* room, Vectors widest = Vectors::bits_512);

}  // namespace relgrad::kernels
