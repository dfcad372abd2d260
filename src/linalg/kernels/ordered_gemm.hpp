#pragma once
/// A matrix product whose every element is one chain of fused multiply-adds in the order of k:
///   c <- fma(a_k, b_k, c), k = 0, 1, ..., K - 1, starting from 0 or from the c that was there.
/// An element's bits therefore depend on its own row and column alone: not on the shape of the
/// call, the place of the column in it, the number of threads or the width of the CPU's vectors.
#include <array>

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

}  // namespace relgrad::kernels
