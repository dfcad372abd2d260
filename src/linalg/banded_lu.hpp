#pragma once
/// LU factorisation with partial pivoting of a matrix that is zero far from its diagonal.
#include <string_view>
#include <vector>

#include "relgrad/core/types.hpp"

namespace relgrad {

/// A square matrix whose entries (i, j) are zero where i - j > lower or j - i > upper.
class BandedMatrix {
 public:
  BandedMatrix(Index size, Index lower, Index upper)
      : size_(size),
        lower_(lower),
        upper_(upper),
        entries_(Matrix<double>::Zero(2 * lower + upper + 1, size)) {}
  /// Entry (i, j), inside the band.
  double& operator()(Index i, Index j) { return entries_(lower_ + upper_ + i - j, j); }
  Index size() const { return size_; }

 private:
  friend class BandedLuFactors;
  Index size_;
  Index lower_;
  Index upper_;
  Matrix<double> entries_;  // LAPACK's: `lower` rows of room for what pivoting fills in, on top
};

class BandedLuFactors {
 public:
  /// Cost: about 2 D lower (lower + upper) flops. @param where names the matrix in errors, e.g.
  /// "layer/0/w". @throws DivergedError if an entry is not finite or a pivot is exactly zero.
  BandedLuFactors(std::string_view where, BandedMatrix matrix);

  /// log|det| in nats.
  double log_abs_det() const;
  /// Solves A X = B; B (D x n) is overwritten by X. Cost: 2 D (2 lower + upper) n.
  void solve_in_place(MatrixMap<double> b) const;

 private:
  BandedMatrix lu_;
  std::vector<int> pivots_;
};

}  // namespace relgrad
