#include "relgrad/linalg/distributed_lu.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "linalg/factor_error.hpp"

// ScaLAPACK and BLACS have no C header of their own.
extern "C" {
void Cblacs_gridmap(int* context, const int* ranks, int leading, int rows, int cols);
void Cblacs_gridexit(int context);
void Cfree_blacs_system_handle(int handle);
void Cpsgemr2d(int rows, int cols, const float* a, int row_a, int col_a, const int* descriptor_a,
               float* b, int row_b, int col_b, const int* descriptor_b, int context);
void Cpdgemr2d(int rows, int cols, const double* a, int row_a, int col_a, const int* descriptor_a,
               double* b, int row_b, int col_b, const int* descriptor_b, int context);
void psgetrf_(const int* rows, const int* cols, float* a, const int* row, const int* col,
              const int* descriptor, int* pivots, int* info);
void pdgetrf_(const int* rows, const int* cols, double* a, const int* row, const int* col,
              const int* descriptor, int* pivots, int* info);
void psgetrs_(const char* op, const int* n, const int* right_sides, const float* a, const int* row,
              const int* col, const int* descriptor, const int* pivots, float* b, const int* row_b,
              const int* col_b, const int* descriptor_b, int* info);
void pdgetrs_(const char* op, const int* n, const int* right_sides, const double* a, const int* row,
              const int* col, const int* descriptor, const int* pivots, double* b, const int* row_b,
              const int* col_b, const int* descriptor_b, int* info);
}

namespace relgrad {

namespace {

constexpr int block = 64;         // of the block-cyclic distribution
constexpr int slice_width = 128;  // columns that travel at once: the copies on the way stay small

void copy_between(int rows, int cols, const float* a, const int* of_a, int col_a, float* b,
                  int row_b, int col_b, const int* of_b, int context) {
  Cpsgemr2d(rows, cols, a, 1, col_a, of_a, b, row_b, col_b, of_b, context);
}
void copy_between(int rows, int cols, const double* a, const int* of_a, int col_a, double* b,
                  int row_b, int col_b, const int* of_b, int context) {
  Cpdgemr2d(rows, cols, a, 1, col_a, of_a, b, row_b, col_b, of_b, context);
}
void copy_back(int rows, int cols, const float* a, int row_a, int col_a, const int* of_a, float* b,
               const int* of_b, int context) {
  Cpsgemr2d(rows, cols, a, row_a, col_a, of_a, b, 1, 1, of_b, context);
}
void copy_back(int rows, int cols, const double* a, int row_a, int col_a, const int* of_a,
               double* b, const int* of_b, int context) {
  Cpdgemr2d(rows, cols, a, row_a, col_a, of_a, b, 1, 1, of_b, context);
}

int factor(int n, float* a, const int* descriptor, int* pivots) {
  const int one = 1;
  int info = 0;
  psgetrf_(&n, &n, a, &one, &one, descriptor, pivots, &info);
  return info;
}
int factor(int n, double* a, const int* descriptor, int* pivots) {
  const int one = 1;
  int info = 0;
  pdgetrf_(&n, &n, a, &one, &one, descriptor, pivots, &info);
  return info;
}
void solve_with(int n, int count, const float* lu, const int* of_lu, const int* pivots, float* b,
                const int* of_b) {
  const int one = 1;
  int info = 0;
  psgetrs_("N", &n, &count, lu, &one, &one, of_lu, pivots, b, &one, &one, of_b, &info);
}
void solve_with(int n, int count, const double* lu, const int* of_lu, const int* pivots, double* b,
                const int* of_b) {
  const int one = 1;
  int info = 0;
  pdgetrs_("N", &n, &count, lu, &one, &one, of_lu, pivots, b, &one, &one, of_b, &info);
}

/// ScaLAPACK's array descriptor. A rank outside the context has -1 there, and nothing else counts.
using Descriptor = std::array<int, 9>;
Descriptor descriptor_of(int context, int rows, int cols, int block_rows, int block_cols,
                         int leading) {
  return {1, context, rows, cols, block_rows, block_cols, 0, 0, std::max(1, leading)};
}
/// A matrix that one rank has whole.
Descriptor alone(int context, int rows, int cols) {
  return descriptor_of(context, rows, cols, rows, std::max(1, cols), rows);
}

/// Numbers of `count` that process p of `processes` has, in blocks dealt out in turn.
int local_count(int count, int p, int processes) {
  const int blocks = count / block;
  int local = blocks / processes * block;
  if (p < blocks % processes) local += block;
  if (p == blocks % processes) local += count % block;
  return local;
}

Descriptor dealt_out(const ProcessGrid& grid, int rows, int cols) {
  return descriptor_of(grid.context(), rows, cols, block, block,
                       local_count(rows, grid.row(), grid.rows()));
}

int as_square_as_possible(int size) {
  int rows = static_cast<int>(std::sqrt(static_cast<double>(size)));
  while (size % rows != 0) --rows;
  return rows;
}

}  // namespace

ProcessGrid::ProcessGrid(int blacs_handle, int rank, int size)
    : handle_(blacs_handle), rank_(rank), size_(size), rows_(as_square_as_possible(size)) {
  // The map is column-major, the grid's rows hold consecutive ranks.
  std::vector<int> ranks(static_cast<std::size_t>(size));
  for (int r = 0; r < size; ++r) {
    ranks[static_cast<std::size_t>(r / cols() + r % cols() * rows_)] = r;
  }
  context_ = handle_;
  Cblacs_gridmap(&context_, ranks.data(), rows_, rows_, cols());
  for (int r = 0; r < size; ++r) {
    int context = handle_;
    Cblacs_gridmap(&context, &r, 1, 1, 1);
    if (r == rank_) own_context_ = context;
  }
}

ProcessGrid::~ProcessGrid() {
  Cblacs_gridexit(own_context_);
  Cblacs_gridexit(context_);
  Cfree_blacs_system_handle(handle_);
}

template <class T>
template <class From>
DistributedLu<T>::DistributedLu(const ProcessGrid& grid, std::string_view where,
                                const ConstMatrixMap<From>& own_columns)
    : grid_(&grid), dimension_(static_cast<int>(own_columns.rows())) {
  const Descriptor here = dealt_out(grid, dimension_, dimension_);
  const int local_rows = local_count(dimension_, grid.row(), grid.rows());
  const int local_cols = local_count(dimension_, grid.col(), grid.cols());
  local_.resize(static_cast<std::size_t>(local_rows) * static_cast<std::size_t>(local_cols));
  pivots_.resize(static_cast<std::size_t>(local_rows + block));
  Matrix<T> slice;
  for (int r = 0; r < grid.size(); ++r) {
    const Range columns = part_of(dimension_, r, grid.size());
    for (std::int64_t begin = columns.begin; begin < columns.end; begin += slice_width) {
      const int width = static_cast<int>(std::min<std::int64_t>(slice_width, columns.end - begin));
      if (r == grid.rank()) {
        slice = own_columns.middleCols(begin - columns.begin, width).template cast<T>();
      }
      const Descriptor there = alone(grid.alone(r), dimension_, width);
      copy_between(dimension_, width, slice.data(), there.data(), 1, local_.data(), 1,
                   static_cast<int>(begin) + 1, here.data(), grid.context());
    }
  }
  const int info = factor(dimension_, local_.data(), here.data(), pivots_.data());
  if (info != 0) throw_singular(where, info);
}

template <class T>
double DistributedLu<T>::log_abs_det_part() const {
  // log|det A| = sum_i log|U_ii|; entry (i, i) is with one rank
  const int leading = local_count(dimension_, grid_->row(), grid_->rows());
  double sum = 0;
  for (int i = 0; i < dimension_; ++i) {
    const int b = i / block;
    if (b % grid_->rows() != grid_->row() || b % grid_->cols() != grid_->col()) continue;
    const auto row = static_cast<std::size_t>(b / grid_->rows() * block + i % block);
    const auto col = static_cast<std::size_t>(b / grid_->cols() * block + i % block);
    const auto at = row + col * static_cast<std::size_t>(leading);
    sum += std::log(std::abs(static_cast<double>(local_[at])));
  }
  return sum;
}

template <class T>
void DistributedLu<T>::solve(MatrixMap<T> own_rows) const {
  const int count = static_cast<int>(own_rows.cols());
  const Descriptor lu = dealt_out(*grid_, dimension_, dimension_);
  const Descriptor here = dealt_out(*grid_, dimension_, count);
  std::vector<T> b(
      static_cast<std::size_t>(std::max(1, local_count(dimension_, grid_->row(), grid_->rows()))) *
      static_cast<std::size_t>(std::max(1, local_count(count, grid_->col(), grid_->cols()))));
  const auto for_each_part = [&](const auto& work) {
    for (int r = 0; r < grid_->size(); ++r) {
      const Range rows = part_of(dimension_, r, grid_->size());
      if (rows.size() == 0) continue;
      const int height = static_cast<int>(rows.size());
      work(height, static_cast<int>(rows.begin) + 1, alone(grid_->alone(r), height, count));
    }
  };
  for_each_part([&](int height, int row, const Descriptor& there) {
    copy_between(height, count, own_rows.data(), there.data(), 1, b.data(), row, 1, here.data(),
                 grid_->context());
  });
  solve_with(dimension_, count, local_.data(), lu.data(), pivots_.data(), b.data(), here.data());
  for_each_part([&](int height, int row, const Descriptor& there) {
    copy_back(height, count, b.data(), row, 1, here.data(), own_rows.data(), there.data(),
              grid_->context());
  });
}

template class DistributedLu<float>;
template class DistributedLu<double>;
template DistributedLu<float>::DistributedLu(const ProcessGrid&, std::string_view,
                                             const ConstMatrixMap<float>&);
template DistributedLu<double>::DistributedLu(const ProcessGrid&, std::string_view,
                                              const ConstMatrixMap<float>&);
template DistributedLu<double>::DistributedLu(const ProcessGrid&, std::string_view,
                                              const ConstMatrixMap<double>&);

}  // namespace relgrad
