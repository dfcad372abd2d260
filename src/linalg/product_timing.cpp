#include "linalg/product_timing.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "core/stopwatch.hpp"
#include "linalg/bf16_products.hpp"
#include "linalg/kernels/bf16.hpp"

namespace relgrad {

namespace {

constexpr std::size_t weights_at_most = std::size_t{1} << 24U;  // numbers: 64 MiB of float

template <class T>
void fill_with_random(T* numbers, std::size_t size) {
  std::minstd_rand engine(1);
  for (std::size_t i = 0; i < size; ++i) {
    numbers[i] = static_cast<T>(static_cast<double>(engine()) / 2147483648.0 - 0.5);
  }
}

template <class T>
std::vector<T> random_numbers(std::size_t size) {
  std::vector<T> numbers(size);
  fill_with_random(numbers.data(), size);
  return numbers;
}

template <class T>
WeightArray<T> random_weights(std::size_t size) {
  WeightArray<T> weights(size);
  fill_with_random(weights.data(), size);
  return weights;
}

/// What an optimizer does to memory: every number is read and written. It stays what it is, but the
/// compiler does not know that `one` is one.
template <class T>
void rewrite(T* numbers, std::size_t size, T one) {
#pragma omp parallel for simd schedule(static)
  for (std::size_t i = 0; i < size; ++i) numbers[i] *= one;
}

/// Ones: every page is there before it is read.
template <class T>
WeightArray<T> ones(std::size_t size) {
  WeightArray<T> weights(size);
  std::fill_n(weights.data(), size, T(1));
  return weights;
}

std::size_t count(Index rows, Index cols) { return static_cast<std::size_t>(rows * cols); }

/// The same product with fewer columns of W, for at most `most_flops`.
ProductShape part_of_shape(ProductShape shape, double most_flops) {
  if (shape.op_b == Transpose::yes) return shape;
  Index& columns = shape.op_a == Transpose::yes ? shape.m : shape.k;
  const double share = most_flops / shape.flops();
  if (share < 1)
    columns = std::max<Index>(16, static_cast<Index>(share * static_cast<double>(columns)));
  return shape;
}

float as_bf16(float x) {
  kernels::round_to_bf16(&x, 1, &x);
  return x;
}
double as_bf16(double x) { return x; }

}  // namespace

template <class T>
ProductTimer<T>::ProductTimer(const ProductShape& shape, double most_flops)
    : shape_(shape),
      part_(part_of_shape(shape, most_flops)),
      is_outer_(shape.op_b == Transpose::yes),
      lda_(shape.op_a == Transpose::yes ? shape.k : shape.m),
      ldb_(shape.op_b == Transpose::yes ? shape.n : part_.k),
      samples_(random_numbers<T>(count(part_.n, part_.k))),
      result_(count(part_.m, part_.n)) {
  // Of the left operand as much as the whole has, within bounds: calls go through it in turn.
  const std::size_t whole = is_outer_
                                ? count(shape.m, shape.k)
                                : count(lda_, shape.op_a == Transpose::yes ? shape.m : shape.k);
  const std::size_t a_part =
      is_outer_ ? whole : count(lda_, shape.op_a == Transpose::yes ? part_.m : part_.k);
  weights_ = random_weights<T>(std::max(a_part, std::min(whole, weights_at_most)));
  for (auto& block : beside_) {
    if (!is_outer_) break;
    block =
        ones<T>(std::max(result_.size(), std::min(count(shape.m, shape.m), weights_at_most / 2)));
  }
}

template <class T>
double ProductTimer<T>::seconds(const Products& products) {
  const std::size_t step =
      is_outer_ ? result_.size() : count(lda_, shape_.op_a == Transpose::yes ? part_.m : part_.k);
  const std::size_t size = is_outer_ ? beside_[0].size() : weights_.size();
  std::size_t next = static_cast<std::size_t>(at_) + step;
  if (next + step > size) next = 0;
  at_ = static_cast<Index>(next);
  ReadNext<T> read_next{};
  if (is_outer_)
    read_next = {beside_[0].data() + next, beside_[1].data() + next, beside_[2].data() + next};
  const Stopwatch watch;
  products.gemm(part_.op_a, part_.op_b, part_.m, part_.n, part_.k,
                is_outer_ ? weights_.data() : a(), lda_, samples_.data(), ldb_, Onto::zero,
                result_.data(), part_.m, read_next);
  for (std::size_t n = 0; is_outer_ && n < beside_.size(); ++n) {
    rewrite(beside_[n].data() + next, step, one_);
  }
  return watch.seconds() * shape_.flops() / part_.flops();
}

template <class T>
double ProductTimer<T>::error_over_bound(const Products& products) const {
  const bool rounds = products.rounds(shape_);
  const auto value = [rounds](T x) { return static_cast<double>(rounds ? as_bf16(x) : x); };
  const T* from = is_outer_ ? weights_.data() : a();
  double worst = 0;
  constexpr Index checks = 199;
  for (Index check = 0; check <= checks; ++check) {
    // From the first corner to the last, all rows and columns in between by turns.
    const Index i = check == checks ? part_.m - 1 : (check * 7919) % part_.m;
    const Index j = check == checks ? part_.n - 1 : (check * 104729) % part_.n;
    double sum = 0;
    double magnitude = 0;
    for (Index k = 0; k < part_.k; ++k) {
      const double term =
          value(part_.op_a == Transpose::yes ? from[k + i * lda_] : from[i + k * lda_]) *
          value(part_.op_b == Transpose::yes ? samples_[count(1, j + k * ldb_)]
                                             : samples_[count(1, k + j * ldb_)]);
      sum += term;
      magnitude += std::abs(term);
    }
    const double bound = static_cast<double>(part_.k + 2) *
                         static_cast<double>(std::numeric_limits<T>::epsilon()) * magnitude;
    const double error = std::abs(static_cast<double>(result_[count(1, i + j * part_.m)]) - sum);
    worst = std::max(worst, error / bound);
  }
  return worst;
}

template <class T>
PassTimer<T>::PassTimer(const ProductShape& shape, Index samples, double most_flops)
    : shape_(shape),
      part_(part_of_shape(shape, most_flops)),
      left_(random_numbers<T>(count(shape.k, samples))),
      factors_(random_numbers<T>(count(shape.k, shape.n))),
      products_(count(part_.m, shape.n)) {
  const std::size_t part = count(shape.k, part_.m);
  const std::size_t size =
      std::max(part, std::min(count(shape.k, shape.m), weights_at_most / 2) / part * part);
  weights_ = {random_weights<T>(size), ones<T>(size), ones<T>(size)};
}

template <class T>
double PassTimer<T>::seconds() {
  at_ += shape_.k * part_.m;
  if (at_ == static_cast<Index>(weights_[0].size())) at_ = 0;
  const ConstMatrixMap<T> w(weights_[0].data() + at_, shape_.k, part_.m);
  const auto samples = static_cast<Index>(left_.size()) / shape_.k;
  const auto update = [&](Index begin, const ConstMatrixMap<T>& tile) {
    for (auto& block : weights_) {
      rewrite(block.data() + at_ + begin * shape_.k, static_cast<std::size_t>(tile.size()), one_);
    }
  };
  const Stopwatch watch;
  pass_.run(w, ConstMatrixMap<T>(left_.data(), shape_.k, samples),
            ConstMatrixMap<T>(factors_.data(), shape_.k, shape_.n),
            MatrixMap<T>(products_.data(), part_.m, shape_.n), std::ref(update));
  return watch.seconds() * shape_.flops() / part_.flops();
}

template class PassTimer<float>;
template class PassTimer<double>;
template class ProductTimer<float>;
template class ProductTimer<double>;

}  // namespace relgrad
