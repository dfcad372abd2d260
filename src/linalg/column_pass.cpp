#include "linalg/column_pass.hpp"

#include <omp.h>

#include "linalg/kernels/ordered_gemm.hpp"

namespace relgrad {

template <class T>
bool ColumnPass<T>::is_available(Index count) {
  return count > 0 && count <= kernels::widest_pass<T>() && omp_get_max_threads() == 1;
}

template <class T>
void ColumnPass<T>::run(const ConstMatrixMap<T>& w, const ConstMatrixMap<T>& left,
                        const ConstMatrixMap<T>& factors, MatrixMap<T> products,
                        const Apply& apply) {
  if (rows_ < w.rows()) {
    room_ = HugePageBuffer<T>(static_cast<std::size_t>(kernels::room_of_pass<T>(w.rows())));
    rows_ = w.rows();
  }
  const auto move = [&](Index begin, Index columns, const T* tile) {
    apply(begin, ConstMatrixMap<T>(tile, w.rows(), columns));
  };
  kernels::ordered_pass(
      kernels::OrderedPass<T>{w.rows(), w.cols(), w.data(), left.data(), left.cols(),
                              factors.data(), factors.cols(), products.data(), std::ref(move)},
      room_.get());
}

template class ColumnPass<float>;
template class ColumnPass<double>;

}  // namespace relgrad
