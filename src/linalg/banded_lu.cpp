#include "linalg/banded_lu.hpp"

#include <utility>

#include "linalg/factor_error.hpp"
#include "linalg/lapack.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

BandedLuFactors::BandedLuFactors(std::string_view where, BandedMatrix matrix)
    : lu_(std::move(matrix)), pivots_(static_cast<std::size_t>(lu_.size())) {
  if (!lu_.entries_.allFinite()) throw_not_finite(where);
  const int n = static_cast<int>(lu_.size());
  const int lower = static_cast<int>(lu_.lower_);
  const int upper = static_cast<int>(lu_.upper_);
  const int stride = static_cast<int>(lu_.entries_.rows());
  int info = 0;
  dgbtrf_(&n, &n, &lower, &upper, lu_.entries_.data(), &stride, pivots_.data(), &info);
  if (info != 0) throw_singular(where, info);
}

// log|det A| = sum_i log|U_ii|
double BandedLuFactors::log_abs_det() const {
  return lu_.entries_.row(lu_.lower_ + lu_.upper_).array().abs().log().sum();
}

void BandedLuFactors::solve_in_place(MatrixMap<double> b) const {
  check_size("BandedLuFactors::solve_in_place", "rows", b.rows(), lu_.size());
  const int n = static_cast<int>(lu_.size());
  const int lower = static_cast<int>(lu_.lower_);
  const int upper = static_cast<int>(lu_.upper_);
  const int stride = static_cast<int>(lu_.entries_.rows());
  const int columns = static_cast<int>(b.cols());
  const char op = 'N';
  int info = 0;
  dgbtrs_(&op, &n, &lower, &upper, &columns, lu_.entries_.data(), &stride, pivots_.data(), b.data(),
          &n, &info);
}

}  // namespace relgrad
