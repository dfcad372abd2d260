#include "linalg/symmetric_eigen.hpp"

#include <cblas.h>
#include <fmt/format.h>

#include <utility>
#include <vector>

#include "linalg/lapack.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

class OneThread {
 public:
  OneThread() : before_(openblas_get_num_threads()) { openblas_set_num_threads(1); }
  ~OneThread() { openblas_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

Matrix<double> square(CBLAS_TRANSPOSE op, Index n, Index k, double scale, const Matrix<double>& a) {
  const OneThread one;
  Matrix<double> result = Matrix<double>::Zero(n, n);
  cblas_dsyrk(CblasColMajor, CblasLower, op, static_cast<blasint>(n), static_cast<blasint>(k),
              scale, a.data(), static_cast<blasint>(a.rows()), 0.0, result.data(),
              static_cast<blasint>(n));
  return result;
}

}  // namespace

SymmetricEigen symmetric_eigen(const char* where, Matrix<double> a) {
  check_size(where, "columns", a.cols(), a.rows());
  if (!a.triangularView<Eigen::Lower>().toDenseMatrix().allFinite()) {
    throw DivergedError(fmt::format("{}: a number is not finite", where));
  }
  const OneThread one;
  const int n = static_cast<int>(a.rows());
  Vector<double> values(n);
  double work_size = 0;
  int integers_size = 0;
  int info = 0;
  const int ask = -1;
  dsyevd_("V", "L", &n, a.data(), &n, values.data(), &work_size, &ask, &integers_size, &ask, &info);
  std::vector<double> work(static_cast<std::size_t>(work_size));
  std::vector<int> integers(static_cast<std::size_t>(integers_size));
  const int work_length = static_cast<int>(work.size());
  dsyevd_("V", "L", &n, a.data(), &n, values.data(), work.data(), &work_length, integers.data(),
          &integers_size, &info);
  if (info != 0) throw DivergedError(fmt::format("{}: no eigenvalues found ({})", where, info));
  return {std::move(values), std::move(a)};
}

Matrix<double> outer_square(double scale, const Matrix<double>& a) {
  return square(CblasNoTrans, a.rows(), a.cols(), scale, a);
}

Matrix<double> inner_square(double scale, const Matrix<double>& a) {
  return square(CblasTrans, a.cols(), a.rows(), scale, a);
}

}  // namespace relgrad
