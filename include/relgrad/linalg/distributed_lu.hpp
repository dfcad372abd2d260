#pragma once
/// LU factorisation with partial pivoting of a matrix that no rank holds whole, by ScaLAPACK:
/// log|det W| and W^{-1} B where the ranks of a group hold W by columns.
#include <string_view>
#include <vector>

#include "relgrad/core/partition.hpp"
#include "relgrad/core/types.hpp"

namespace relgrad {

/// The ranks of one group as ScaLAPACK's process grid, as square as their number allows. Every
/// method, the constructor and the destructor are collective over the group.
class ProcessGrid {
 public:
  /// @param blacs_handle  of a communicator of `size` ranks, which must outlive the grid
  ProcessGrid(int blacs_handle, int rank, int size);
  ~ProcessGrid();
  ProcessGrid(const ProcessGrid&) = delete;
  ProcessGrid& operator=(const ProcessGrid&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  int context() const { return context_; }
  /// A grid of rank r alone, for a matrix that only r has; -1 on other ranks.
  int alone(int r) const { return r == rank_ ? own_context_ : -1; }
  int rows() const { return rows_; }
  int cols() const { return size_ / rows_; }
  int row() const { return rank_ / cols(); }
  int col() const { return rank_ % cols(); }

 private:
  int handle_;
  int rank_;
  int size_;
  int rows_;
  int context_ = -1;
  int own_context_ = -1;
};

/// T: float or double, the precision of the factorisation. Needs D^2 / R numbers beside W's
/// columns.
template <class T>
class DistributedLu {
 public:
  /// Collective. Cost: 2/3 D^3 / R flops per rank. @param own_columns  D x |I_r|, I_r =
  /// part_of(D, r, R), all finite. @param where  names the matrix in errors, e.g. "layer/0/W".
  /// @throws DivergedError, on every rank, if a pivot is exactly zero.
  template <class From>
  DistributedLu(const ProcessGrid& grid, std::string_view where,
                const ConstMatrixMap<From>& own_columns);

  /// This rank's part of log|det| in nats: the ranks' sum is the value.
  double log_abs_det_part() const;
  /// Collective. own_rows (|I_r| x n) <- rows I_r of A^{-1} B, B held by rows likewise.
  void solve(MatrixMap<T> own_rows) const;

 private:
  const ProcessGrid* grid_;
  int dimension_;
  std::vector<T> local_;  // this rank's blocks of L and U
  std::vector<int> pivots_;
};

}  // namespace relgrad
