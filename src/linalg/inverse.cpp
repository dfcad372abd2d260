#include "linalg/inverse.hpp"

#include <cblas.h>

#include <vector>

#include "linalg/factor_error.hpp"
#include "linalg/lapack.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

void getrf(int n, float* a, int* pivots, int* info) { sgetrf_(&n, &n, a, &n, pivots, info); }
void getrf(int n, double* a, int* pivots, int* info) { dgetrf_(&n, &n, a, &n, pivots, info); }
void getri(int n, float* a, const int* pivots, float* work, int size, int* info) {
  sgetri_(&n, a, &n, pivots, work, &size, info);
}
void getri(int n, double* a, const int* pivots, double* work, int size, int* info) {
  dgetri_(&n, a, &n, pivots, work, &size, info);
}

/// While it lives, BLAS has one thread if `wanted`.
class OneThread {
 public:
  explicit OneThread(bool wanted) : before_(openblas_get_num_threads()) {
    if (wanted) openblas_set_num_threads(1);
  }
  ~OneThread() { openblas_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

}  // namespace

template <class T>
void inverse_transposed(std::string_view where, const ConstMatrixMap<T>& square,
                        const Products& products, MatrixMap<T> out) {
  check_size(where, "columns", square.cols(), square.rows());
  if (!square.allFinite()) throw_not_finite(where);
  const OneThread one_thread(products.backend_of({}) == ProductBackend::ordered);
  const int n = static_cast<int>(square.rows());
  constexpr int block = 64;  // of LAPACK's getri
  std::vector<int> pivots(static_cast<std::size_t>(n));
  std::vector<T> work(static_cast<std::size_t>(n) * block);
  int info = 0;
  out = square.transpose();
  getrf(n, out.data(), pivots.data(), &info);
  if (info != 0) throw_singular(where, info);
  getri(n, out.data(), pivots.data(), work.data(), n * block, &info);
}

template void inverse_transposed(std::string_view, const ConstMatrixMap<float>&, const Products&,
                                 MatrixMap<float>);
template void inverse_transposed(std::string_view, const ConstMatrixMap<double>&, const Products&,
                                 MatrixMap<double>);

}  // namespace relgrad
