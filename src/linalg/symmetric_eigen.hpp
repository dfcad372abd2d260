#pragma once
/// Eigenvalues and eigenvectors of symmetric matrices, for starts that are fitted to data.
#include "relgrad/core/types.hpp"

namespace relgrad {

/// A = V diag(values) V^T, values rising, V orthogonal.
struct SymmetricEigen {
  Vector<double> values;
  Matrix<double> vectors;
};

/// By LAPACK's divide and conquer; only the lower triangle of `a` is read. On one thread, so that
/// the bits do not depend on their number. Cost: about 9 n^3. @throws DivergedError naming `where`
/// if an entry is not finite or the method fails.
SymmetricEigen symmetric_eigen(const char* where, Matrix<double> a);

/// scale A A^T (of the rows), or scale A^T A, lower triangle only; on one thread.
/// Cost: half of a product.
Matrix<double> outer_square(double scale, const Matrix<double>& a);
Matrix<double> inner_square(double scale, const Matrix<double>& a);

}  // namespace relgrad
