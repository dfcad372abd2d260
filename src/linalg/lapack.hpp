#pragma once
/// LAPACK as OpenBLAS ships it, and what its answers mean.
#include <fmt/format.h>

#include <string_view>

#include "relgrad/core/error.hpp"
#include "relgrad/core/types.hpp"

extern "C" {
void dgetrf_(const int* m, const int* n, double* a, const int* lda, int* pivots, int* info);
void dgetrs_(const char* op, const int* n, const int* columns, const double* a, const int* lda,
             const int* pivots, double* b, const int* ldb, int* info);
}

namespace relgrad {

[[noreturn]] inline void throw_not_finite(std::string_view where) {
  throw DivergedError(fmt::format(
      "{}: an entry is not finite; resume from an earlier checkpoint with a smaller --lr", where));
}

/// @param pivot  1-based
[[noreturn]] inline void throw_singular(std::string_view where, Index pivot) {
  throw DivergedError(fmt::format(
      "{}: pivot {} is zero, the matrix is singular; resume from an earlier checkpoint with a "
      "smaller --lr",
      where, pivot));
}

}  // namespace relgrad
