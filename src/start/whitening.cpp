#include "start/whitening.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

#include "linalg/symmetric_eigen.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/core/partition.hpp"
#include "relgrad/data/epoch_order.hpp"
#include "relgrad/linalg/products.hpp"
#include "relgrad/model/linear.hpp"
#include "relgrad/mpi/agreement.hpp"

namespace relgrad {

namespace {

constexpr std::array shrinkages = {0.0, 1e-4, 3e-4, 0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.7};

Matrix<double> product(Transpose op_a, const Matrix<double>& a, const Matrix<double>& b) {
  const Products blas(ProductBackend::openblas);
  const Index rows = op_a == Transpose::yes ? a.cols() : a.rows();
  Matrix<double> result(rows, b.cols());
  blas.gemm(op_a, Transpose::no, rows, b.cols(), b.rows(), a.data(), a.rows(), b.data(), b.rows(),
            Onto::zero, result.data(), rows);
  return result;
}

/// Takes every tenth column out of x, if there are 20 or more.
Matrix<double> take_tenth(Matrix<double>& x) {
  const Index taken = x.cols() < 20 ? 0 : x.cols() / 10;
  Matrix<double> tenth(x.rows(), taken);
  Index kept = 0;
  for (Index i = 0; i < x.cols(); ++i) {
    if (i % 10 == 0 && i / 10 < taken) {
      tenth.col(i / 10) = x.col(i);
    } else {
      if (kept < i) x.col(kept) = x.col(i);
      ++kept;
    }
  }
  x.conservativeResize(Eigen::NoChange, kept);
  return tenth;
}

}  // namespace

Whitening::Whitening(Matrix<double> x) {
  Matrix<double> held_out = take_tenth(x);
  const Index dimension = x.rows();
  const Index fitted = x.cols();
  const auto n = static_cast<double>(fitted);
  mean_ = x.rowwise().mean();
  x.colwise() -= mean_;
  deviation_ = (x.rowwise().squaredNorm() / n).cwiseSqrt();
  deviation_ = deviation_.unaryExpr([](double s) { return s > 1e-12 ? s : 1.0; });
  x.array().colwise() /= deviation_.array();
  held_out.colwise() -= mean_;
  held_out.array().colwise() /= deviation_.array();

  if (fitted >= dimension) {
    SymmetricEigen eigen = symmetric_eigen("whitening", outer_square(1 / n, x));
    values_ = eigen.values.cwiseMax(0.0);
    vectors_ = std::move(eigen.vectors);
  } else {
    // C = Z Z^T / n has the eigenvalues of Z^T Z / n; its eigenvectors are Z u / sqrt(n value).
    const SymmetricEigen eigen = symmetric_eigen("whitening", inner_square(1 / n, x));
    const double least = 1e-9 * eigen.values(fitted - 1);
    const Index kept = (eigen.values.array() > least).count();  // the last ones, as they rise
    values_ = eigen.values.tail(kept);
    const Matrix<double> scaled =
        eigen.vectors.rightCols(kept) * (n * values_.array()).rsqrt().matrix().asDiagonal();
    vectors_ = product(Transpose::no, x, scaled);
  }
  choose_shrinkage(held_out);
}

// log p(z) = -1/2 [ sum_k (v_k^T z)^2 / c_k + |rest of z|^2 / t + sum_k log c_k + (D - r) log t ]
// + constant, c_k = (1 - t) value_k + t.
void Whitening::choose_shrinkage(const Matrix<double>& held_out) {
  shrinkage_ = 0.1;
  if (held_out.cols() == 0) return;
  const Vector<double> along = product(Transpose::yes, vectors_, held_out).rowwise().squaredNorm() /
                               static_cast<double>(held_out.cols());
  const double rest = held_out.squaredNorm() / static_cast<double>(held_out.cols()) - along.sum();
  const auto missing = static_cast<double>(vectors_.rows() - vectors_.cols());
  double best = -HUGE_VAL;
  for (const double t : shrinkages) {
    const Eigen::ArrayXd variances = (1 - t) * values_.array() + t;
    if (variances.minCoeff() < 1e-9 || (missing > 0 && t == 0)) continue;
    double twice = -(along.array() / variances + variances.log()).sum();
    if (missing > 0) twice -= rest / t + missing * std::log(t);
    if (twice > best) {
      best = twice;
      shrinkage_ = t;
    }
  }
}

// C_t^{-1/2} = V diag(gain) V^T + outside I: outside = t^{-1/2}, 0 if r = D; gain_k = c_k^{-1/2} -
// outside.
Whitening::Root Whitening::root() const {
  const bool whole = vectors_.cols() == vectors_.rows();
  const double outside = whole ? 0.0 : 1 / std::sqrt(shrinkage_);
  const Eigen::ArrayXd variances = (1 - shrinkage_) * values_.array() + shrinkage_;
  return {(variances.rsqrt() - outside).matrix(), outside};
}

Matrix<double> Whitening::weight_columns(Index begin, Index end) const {
  const Root factors = root();
  const Vector<double> scale = deviation_.segment(begin, end - begin).cwiseInverse();
  const Matrix<double> along = factors.gains.asDiagonal() *
                               vectors_.middleRows(begin, end - begin).transpose() *
                               scale.asDiagonal();
  Matrix<double> columns = product(Transpose::no, vectors_, along);
  columns.middleRows(begin, end - begin).diagonal() += factors.outside * scale;
  return columns;
}

Vector<double> Whitening::bias() const {
  const Root factors = root();
  const Vector<double> z = mean_.cwiseQuotient(deviation_);
  return -(vectors_ * factors.gains.cwiseProduct(vectors_.transpose() * z) + factors.outside * z);
}

namespace {

/// D x n samples as they enter the flow, with noise of their own.
template <class T>
Matrix<double> transformed_samples(const Transform<T>& transform, const SplitReader& train,
                                   std::uint64_t seed) {
  constexpr Index values_at_most = Index{1} << 26;
  constexpr Index rows_at_once = 500;
  const auto rows = static_cast<Index>(train.rows());
  const Index used = std::min(rows, std::max<Index>(1000, values_at_most / train.dimension()));
  const NoiseKey noise{seed, Purpose::initialize, 1};
  const EpochOrder order(seed, 0, train.rows());
  Matrix<double> x(train.dimension(), used);
  Matrix<T> part(train.dimension(), rows_at_once);
  RawBatch batch;
  for (Index begin = 0; begin < used; begin += rows_at_once) {
    const Index count = std::min(rows_at_once, used - begin);
    std::vector<std::uint64_t> wanted;
    for (Index i = begin; i < begin + count; ++i) {
      const auto row = static_cast<std::uint64_t>(i);
      wanted.push_back(used == rows ? row : order.sample_at(row));  // rows may lie in an order
    }
    train.read(wanted, batch);
    std::vector<double> log_slope(static_cast<std::size_t>(count));
    transform.forward(batch, noise, MatrixMap<T>(part.data(), part.rows(), count), log_slope);
    x.middleCols(begin, count) = part.leftCols(count).template cast<double>();
  }
  return x;
}

/// The start of a layer that sums over all training samples: each rank adds its part, or, so that
/// the sums have the same bits on any number of ranks, all samples.
template <class T>
void start_in_closed_form(DataStart<T>& start, const Transform<T>& transform,
                          const SplitReader& train, std::uint64_t seed, bool deterministic,
                          const mpi::Communicator& comm) {
  constexpr std::int64_t rows_at_once = 200;
  const auto rows = static_cast<std::int64_t>(train.rows());
  const Range part = deterministic ? Range{0, rows} : part_of(rows, comm.rank(), comm.world_size());
  mpi::together(comm, [&] {
    Matrix<T> x(train.dimension(), rows_at_once);
    RawBatch batch;
    for (std::int64_t row = part.begin; row < part.end; row += rows_at_once) {
      const std::int64_t end = std::min(row + rows_at_once, part.end);
      train.read_range(static_cast<std::uint64_t>(row), static_cast<std::uint64_t>(end), batch);
      std::vector<double> log_slope(static_cast<std::size_t>(end - row));
      const MatrixMap<T> samples(x.data(), x.rows(), end - row);
      transform.forward(batch, {seed, Purpose::initialize, 1}, samples, log_slope);
      start.add(ConstMatrixMap<T>(x.data(), x.rows(), end - row));
    }
  });
  if (!deterministic) comm.allreduce_sum(start.sums());
  mpi::together(comm, [&] { start.finish(); });
}

template <class T>
std::span<std::byte> bytes_of(Matrix<T>& values) {
  return std::as_writable_bytes(
      std::span<T>(values.data(), static_cast<std::size_t>(values.size())));
}

}  // namespace

template <class T>
void whiten_first_layer(Flow<T>& flow, const Transform<T>& transform, const SplitReader& train,
                        std::uint64_t seed, bool deterministic, const mpi::Communicator& comm) {
  if (const auto start = flow.layer(0).whitening_start()) {
    start_in_closed_form(*start, transform, train, seed, deterministic, comm);
    flow.prepare();
    log_info(fmt::format("first layer ({}): whitens the training data", flow.layer(0).kind()));
    return;
  }
  const std::vector<LinearLayer<T>*> linear = flow.linear_layers();
  LinearLayer<T>* const first = linear.empty() ? nullptr : linear.front();
  if (first != &flow.layer(0)) {
    mpi::throw_on_all_ranks(UsageError(
        fmt::format("--init: whitening starts a linear or spectral layer in front, and the model "
                    "begins with {}; use identity",
                    flow.layer(0).kind())));
  }
  std::optional<Whitening> whitening;
  mpi::together(comm, [&] {
    if (comm.is_root()) whitening.emplace(transformed_samples(transform, train, seed));
  });
  MatrixMap<T> weight = flow.parameters().matrix(first->weight_id());
  const Index dimension = flow.dimension();
  const Range own = flow.own();
  constexpr Index columns_at_once = 512;
  for (Index begin = 0; begin < dimension; begin += columns_at_once) {
    const Index end = std::min(begin + columns_at_once, dimension);
    Matrix<T> columns(dimension, end - begin);
    if (whitening) columns = whitening->weight_columns(begin, end).template cast<T>();
    comm.broadcast(bytes_of(columns));
    const Index from = std::max(begin, own.begin);
    const Index to = std::min(end, own.end);
    if (from < to) {
      weight.middleCols(from - own.begin, to - from) = columns.middleCols(from - begin, to - from);
    }
  }
  Matrix<T> bias(dimension, 1);
  if (whitening) bias = whitening->bias().template cast<T>();
  comm.broadcast(bytes_of(bias));
  std::ranges::copy(std::span(bias.data(), static_cast<std::size_t>(dimension)),
                    flow.parameters().values(first->bias_id()).begin());
  if (first->keeps_inverse()) first->refresh_inverse();
  flow.prepare();
  if (whitening) {
    log_info(fmt::format("first layer: whitens the training data, correlations shrunk by {:g}",
                         whitening->shrinkage()));
  }
}

template void whiten_first_layer(Flow<float>&, const Transform<float>&, const SplitReader&,
                                 std::uint64_t, bool, const mpi::Communicator&);
template void whiten_first_layer(Flow<double>&, const Transform<double>&, const SplitReader&,
                                 std::uint64_t, bool, const mpi::Communicator&);

}  // namespace relgrad
