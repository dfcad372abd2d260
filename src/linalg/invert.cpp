#include "linalg/invert.hpp"

#include <cmath>
#include <complex>

#include "linalg/factor_error.hpp"
#include "linalg/lapack.hpp"

namespace relgrad {

namespace {

constexpr Index work_columns = 64;  // the block of LAPACK's getri

#define RELGRAD_NAME_LAPACK(T, letter)                                                             \
  void getrf(int n, T* a, int* pivots, int* info) { letter##getrf_(&n, &n, a, &n, pivots, info); } \
  void getri(int n, T* a, const int* pivots, T* work, int size, int* info) {                       \
    letter##getri_(&n, a, &n, pivots, work, &size, info);                                          \
  }
RELGRAD_NAME_LAPACK(float, s)
RELGRAD_NAME_LAPACK(double, d)
RELGRAD_NAME_LAPACK(std::complex<float>, c)
RELGRAD_NAME_LAPACK(std::complex<double>, z)
#undef RELGRAD_NAME_LAPACK

}  // namespace

template <class T>
Inverter<T>::Inverter(Index n)
    : pivots_(static_cast<std::size_t>(n)), work_(static_cast<std::size_t>(n * work_columns)) {}

template <class T>
double Inverter<T>::invert(std::string_view where, Index size, T* a) {
  const MatrixMap<T> matrix(a, size, size);
  if (!matrix.allFinite()) throw_not_finite(where);
  const int n = static_cast<int>(size);
  int info = 0;
  getrf(n, a, pivots_.data(), &info);
  if (info != 0) throw_singular(where, info);
  // log|det A| = sum_i log|U_ii|
  double log_abs_det = 0.0;
  for (Index i = 0; i < size; ++i) {
    log_abs_det += std::log(static_cast<double>(std::abs(matrix(i, i))));
  }
  getri(n, a, pivots_.data(), work_.data(), static_cast<int>(work_.size()), &info);
  return log_abs_det;
}

template class Inverter<float>;
template class Inverter<double>;
template class Inverter<std::complex<float>>;
template class Inverter<std::complex<double>>;

}  // namespace relgrad
