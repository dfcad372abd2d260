#include "relgrad/linalg/lu.hpp"

#include <fmt/format.h>

#include <cmath>

#include "relgrad/core/error.hpp"

// LAPACK, as OpenBLAS ships it.
extern "C" {
void dgetrf_(const int* m, const int* n, double* a, const int* lda, int* pivots, int* info);
void dgetrs_(const char* op, const int* n, const int* columns, const double* a, const int* lda,
             const int* pivots, double* b, const int* ldb, int* info);
}

namespace relgrad {

template <class T>
LuFactors::LuFactors(std::string_view where, const ConstMatrixMap<T>& square)
    : lu_(square.template cast<double>()), pivots_(static_cast<std::size_t>(square.rows())) {
  check_size(where, "columns", square.cols(), square.rows());
  if (!lu_.allFinite()) {
    throw DivergedError(fmt::format(
        "{}: an entry is not finite; resume from an earlier checkpoint with a smaller --lr",
        where));
  }
  const int n = static_cast<int>(square.rows());
  int info = 0;
  dgetrf_(&n, &n, lu_.data(), &n, pivots_.data(), &info);
  if (info != 0) {
    throw DivergedError(fmt::format(
        "{}: pivot {} is zero, the matrix is singular; resume from an earlier checkpoint with a "
        "smaller --lr",
        where, info));
  }
}

// log|det A| = sum_i log|U_ii|
double LuFactors::log_abs_det() const { return lu_.diagonal().array().abs().log().sum(); }

void LuFactors::solve_in_place(MatrixMap<double> b) const {
  check_size("LuFactors::solve_in_place", "rows", b.rows(), lu_.rows());
  const int n = static_cast<int>(lu_.rows());
  const int columns = static_cast<int>(b.cols());
  const char op = 'N';
  int info = 0;
  dgetrs_(&op, &n, &columns, lu_.data(), &n, pivots_.data(), b.data(), &n, &info);
}

Matrix<double> LuFactors::inverse() const {
  Matrix<double> result = Matrix<double>::Identity(lu_.rows(), lu_.cols());
  solve_in_place(MatrixMap<double>(result.data(), result.rows(), result.cols()));
  return result;
}

template LuFactors::LuFactors(std::string_view, const ConstMatrixMap<float>&);
template LuFactors::LuFactors(std::string_view, const ConstMatrixMap<double>&);

}  // namespace relgrad
