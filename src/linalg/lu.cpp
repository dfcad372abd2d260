#include "linalg/lu.hpp"

#include <cmath>

#include "linalg/factor_error.hpp"
#include "linalg/lapack.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

template <class T>
LuFactors::LuFactors(std::string_view where, const ConstMatrixMap<T>& square)
    : lu_(square.template cast<double>()), pivots_(static_cast<std::size_t>(square.rows())) {
  check_size(where, "columns", square.cols(), square.rows());
  if (!lu_.allFinite()) throw_not_finite(where);
  const int n = static_cast<int>(square.rows());
  int info = 0;
  dgetrf_(&n, &n, lu_.data(), &n, pivots_.data(), &info);
  if (info != 0) throw_singular(where, info);
}

LuFactors::LuFactors(Index dimension)
    : lu_(dimension, dimension), pivots_(static_cast<std::size_t>(dimension)) {}

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
