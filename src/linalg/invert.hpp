#pragma once
/// Many small inverses with their log|det|, in memory that is kept from one to the next.
#include <string_view>
#include <vector>

#include "relgrad/core/types.hpp"

namespace relgrad {

/// Inverts n x n matrices of float, double or their complex numbers, by LU with partial pivoting.
template <class T>
class Inverter {
 public:
  explicit Inverter(Index n);
  /// Overwrites A, column-major without gaps, by its inverse. Cost: 2 n^3 multiply-adds of T.
  /// @param size  of A, at most n
  /// @param where  names the matrix in errors, e.g. "layer/0/w"
  /// @return log|det A| in nats
  /// @throws DivergedError if an entry is not finite or a pivot is exactly zero.
  double invert(std::string_view where, Index size, T* a);

 private:
  std::vector<int> pivots_;
  std::vector<T> work_;
};

}  // namespace relgrad
