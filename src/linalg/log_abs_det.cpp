#include "linalg/log_abs_det.hpp"

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "linalg/factor_error.hpp"
#include "linalg/lapack.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

constexpr Index panel_width = 128;

/// A factored panel of columns [begin, begin + width): its multipliers from row `begin` down, and
/// the row swaps it was factored with.
template <class T>
struct Panel {
  Index begin;
  Matrix<T> multipliers;    // (D - begin) x width
  std::vector<int> pivots;  // 1-based, relative to `begin`
};

void swap_rows(Matrix<double>& columns, Index begin, const std::vector<int>& pivots) {
  for (std::size_t i = 0; i < pivots.size(); ++i) {
    const Index row = begin + static_cast<Index>(i);
    const Index other = begin + pivots[i] - 1;
    if (row != other) columns.row(row).swap(columns.row(other));
  }
}

/// What a right-looking LU would have done to `columns` when it factored `panel`.
template <class T>
void eliminate(const Panel<T>& panel, Matrix<double>& columns) {
  swap_rows(columns, panel.begin, panel.pivots);
  const Matrix<double> l = panel.multipliers.template cast<double>();
  const auto rows = static_cast<blasint>(l.rows());
  const auto width = static_cast<blasint>(l.cols());
  const auto count = static_cast<blasint>(columns.cols());
  const auto stride = static_cast<blasint>(columns.rows());
  double* top = columns.data() + panel.begin;
  // U = L11^{-1} top;  below -= L21 U
  cblas_dtrsm(CblasColMajor, CblasLeft, CblasLower, CblasNoTrans, CblasUnit, width, count, 1.0,
              l.data(), rows, top, stride);
  if (rows == width) return;
  cblas_dgemm(CblasColMajor, CblasNoTrans, CblasNoTrans, rows - width, count, width, -1.0,
              l.data() + width, rows, top, stride, 1.0, top + width, stride);
}

}  // namespace

template <class T>
double log_abs_det(std::string_view where, const ConstMatrixMap<T>& square) {
  check_size(where, "columns", square.cols(), square.rows());
  const Index dimension = square.rows();
  std::vector<Panel<T>> panels;
  double sum = 0.0;
  for (Index begin = 0; begin < dimension; begin += panel_width) {
    const Index width = std::min(panel_width, dimension - begin);
    Matrix<double> columns = square.middleCols(begin, width).template cast<double>();
    if (!columns.allFinite()) throw_not_finite(where);
    for (const Panel<T>& panel : panels) eliminate(panel, columns);

    Panel<T> panel{begin, {}, std::vector<int>(static_cast<std::size_t>(width))};
    const int rows = static_cast<int>(dimension - begin);
    const int cols = static_cast<int>(width);
    const int stride = static_cast<int>(dimension);
    int info = 0;
    dgetrf_(&rows, &cols, columns.data() + begin, &stride, panel.pivots.data(), &info);
    if (info != 0) throw_singular(where, begin + info);
    // log|det A| = sum_i log|U_ii|
    for (Index i = 0; i < width; ++i) sum += std::log(std::abs(columns(begin + i, i)));
    panel.multipliers = columns.bottomRows(dimension - begin).template cast<T>();
    panels.push_back(std::move(panel));
  }
  return sum;
}

template double log_abs_det(std::string_view, const ConstMatrixMap<float>&);
template double log_abs_det(std::string_view, const ConstMatrixMap<double>&);

}  // namespace relgrad
