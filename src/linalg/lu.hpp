#pragma once
/// LU factorisation with partial pivoting, in double precision whatever the model's type: log|det
/// W| and exact inverses are measurements, not part of a training step.
#include <span>
#include <string_view>
#include <vector>

#include "relgrad/core/types.hpp"

namespace relgrad {

class LuFactors {
 public:
  /// Cost: 2/3 D^3 flops. @param where names the matrix in errors, e.g. "layer/0/W".
  /// @throws DivergedError if an entry is not finite or a pivot is exactly zero.
  template <class T>
  LuFactors(std::string_view where, const ConstMatrixMap<T>& square);
  /// Memory for the factors of a D x D matrix that another rank has: values() and pivots() are to
  /// be copied from there.
  explicit LuFactors(Index dimension);
  std::span<double> values() { return {lu_.data(), static_cast<std::size_t>(lu_.size())}; }
  std::span<int> pivots() { return pivots_; }

  /// log|det| in nats.
  double log_abs_det() const;
  /// Solves A X = B; B (D x n) is overwritten by X. Cost: 2 D^2 n.
  void solve_in_place(MatrixMap<double> b) const;
  /// A^{-1}, D x D. Cost: 4/3 D^3.
  Matrix<double> inverse() const;

 private:
  Matrix<double> lu_;
  std::vector<int> pivots_;
};

}  // namespace relgrad
