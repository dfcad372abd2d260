#include "likelihood/log_abs_det_change.hpp"

#include <cmath>
#include <limits>

#include "linalg/lu.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

double log_abs_det_change(Index dimension, double growth, double step,
                          const Matrix<double>& inner) {
  // D log|growth| + log|det(I_N + (step / growth) Y^T Delta)|
  const double of_growth = static_cast<double>(dimension) * std::log(std::abs(growth));
  if (inner.size() == 0) return of_growth;
  Matrix<double> small = (step / growth) * inner;
  small.diagonal().array() += 1.0;
  try {
    const ConstMatrixMap<double> view(small.data(), small.rows(), small.cols());
    return of_growth + LuFactors("log_abs_det_change", view).log_abs_det();
  } catch (const DivergedError&) {
    return std::numeric_limits<double>::quiet_NaN();
  }
}

}  // namespace relgrad
