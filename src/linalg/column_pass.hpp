#pragma once
/// W^T X and an update of W in one pass over W.
#include <functional>

#include "relgrad/core/huge_page_buffer.hpp"
#include "relgrad/linalg/products.hpp"

namespace relgrad {

/// Column j of W^T [Delta | Y] and column j of Delta P^T, P = W^T Y, need no other column of W. So
/// a few columns are read, multiplied and moved while they are in cache, and W comes from memory
/// once instead of twice. The products are those of the back end "ordered", bit by bit. Keeps its
/// memory.
template <class T>
class ColumnPass {
 public:
  /// Called with columns [col_begin, col_begin + tile.cols()) of left right^T.
  using Apply = std::function<void(Index col_begin, const ConstMatrixMap<T>& tile)>;

  /// Whether there is a kernel for `count` columns of X: up to three vectors of the CPU, and one
  /// thread.
  static bool is_available(Index count);

  /// products = w^T factors; `apply` gets left right^T, a few columns at a time, right the last
  /// columns of `products`, as many as `left` has. `apply` may change those columns of W. Cost:
  /// 2 rows columns (n + b) flops; reads W once.
  /// @param w         rows x columns
  /// @param left      rows x b
  /// @param factors   rows x n, n >= b, is_available(n)
  /// @param products  columns x n
  void run(const ConstMatrixMap<T>& w, const ConstMatrixMap<T>& left,
           const ConstMatrixMap<T>& factors, MatrixMap<T> products, const Apply& apply);

 private:
  HugePageBuffer<T> room_;
  Index rows_ = 0;  // that room_ is large enough for
};

}  // namespace relgrad
