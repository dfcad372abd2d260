#include "convolution/row_recursion.hpp"

#include <algorithm>
#include <limits>

namespace relgrad {

namespace {

enum class Place { diagonal, below, above };

/// visit(place, row, column, weight) for every entry of a block row of T that is not zero.
template <class Visit>
void for_each_entry(const ConvolutionShape& shape, Index rows, const Visit& visit) {
  const Index channels = shape.channels_in;
  const Index k = shape.taps;
  const Index r = (k - 1) / 2;
  const auto number = [&](Index row, Index w, Index c) {
    return (row * shape.width + w) * channels + c;
  };
  for (Index i = 0; i < k; ++i) {
    for (Index j = 0; j < k; ++j) {
      for (Index row = 0; row < rows; ++row) {
        const Index from = row + i - r;
        const Place place =
            from < 0 ? Place::below : (from < rows ? Place::diagonal : Place::above);
        const Index from_row = from < 0 ? from + rows : (from < rows ? from : from - rows);
        for (Index w = std::max<Index>(0, r - j); w < std::min(shape.width, shape.width + r - j);
             ++w) {
          for (Index o = 0; o < channels; ++o) {
            for (Index c = 0; c < channels; ++c) {
              visit(place, number(row, w, o), number(from_row, w + j - r, c),
                    ((o * channels + c) * k + i) * k + j);
            }
          }
        }
      }
    }
  }
}

/// Numbers of a product's part along the band: enough for a product to be quick.
constexpr Index group_size = 32;

}  // namespace

template <class T>
RowRecursion<T>::RowRecursion(const ConvolutionShape& shape)
    : shape_(shape),
      rows_(std::max<Index>(1, (shape.taps - 1) / 2)),
      blocks_((shape.height + rows_ - 1) / rows_),
      size_(rows_ * shape.width * shape.channels_in),
      last_size_(size_ - (blocks_ * rows_ - shape.height) * shape.width * shape.channels_in),
      units_(rows_ == 1 ? shape.width : 1),
      reach_(rows_ == 1 ? (shape.taps - 1) / 2 : 0),
      tolerance_(16.0 * static_cast<double>(std::numeric_limits<T>::epsilon())),
      inverter_(size_) {
  for (Matrix<T>* matrix : {&diagonal_, &below_, &above_, &schur_, &previous_, &g_, &g_below_,
                            &g_above_, &product_, &diagonal_sum_, &below_sum_, &above_sum_}) {
    matrix->setZero(size_, size_);
  }
}

template <class T>
const typename RowRecursion<T>::Step& RowRecursion<T>::step_of(Index block) const {
  if (block + 1 == blocks_) return last_;
  return steps_[static_cast<std::size_t>(std::min(block, computed_ - 1))];
}

template <class T>
void RowRecursion<T>::fill_blocks(std::span<const T> weights) {
  diagonal_.setZero();
  below_.setZero();
  above_.setZero();
  for_each_entry(shape_, rows_, [&](Place place, Index row, Index column, Index weight) {
    Matrix<T>& block =
        place == Place::diagonal ? diagonal_ : (place == Place::below ? below_ : above_);
    block(row, column) = weights[static_cast<std::size_t>(weight)];
  });
}

template <class T>
bool RowRecursion<T>::is_same(const Matrix<T>& now, const Matrix<T>& before) const {
  const T change = (now - before).cwiseAbs().maxCoeff();
  return tolerance_ > 0.0 && change <= static_cast<T>(tolerance_) * now.cwiseAbs().maxCoeff();
}

/// work(begin, end, near_begin, near_end): numbers [begin, end) of a block meet only those in
/// [near_begin, near_end) of the block above or below.
template <class T>
template <class Work>
void RowRecursion<T>::for_each_group(const Work& work) const {
  const Index unit = size_ / units_;
  const Index together = std::max<Index>(1, group_size / unit);
  for (Index first = 0; first < units_; first += together) {
    const Index last = std::min(first + together, units_);
    work(first * unit, last * unit, std::max<Index>(0, first - reach_) * unit,
         std::min(units_, last + reach_) * unit);
  }
}

/// c = a b, m x k by k x n: leading parts of matrices.
template <class T>
void RowRecursion<T>::multiply(const Products& products, Index m, Index n, Index k,
                               const Matrix<T>& a, const Matrix<T>& b, Matrix<T>& c) const {
  products.gemm(Transpose::no, Transpose::no, m, n, k, a.data(), a.rows(), b.data(), b.rows(),
                Onto::zero, c.data(), c.rows());
}

/// The same where b is Lo or Up.
template <class T>
void RowRecursion<T>::multiply_by_band(const Products& products, Index m, Index n, Index k,
                                       const Matrix<T>& a, const Matrix<T>& band,
                                       Matrix<T>& c) const {
  for_each_group([&](Index begin, Index end, Index near_begin, Index near_end) {
    products.gemm(Transpose::no, Transpose::no, m, std::min(end, n) - begin,
                  std::min(near_end, k) - near_begin, a.col(near_begin).data(), a.rows(),
                  &band(near_begin, begin), band.rows(), Onto::zero, c.col(begin).data(), c.rows());
  });
}

/// c = Lo b or Up b, of whole blocks.
template <class T>
void RowRecursion<T>::multiply_band(const Products& products, const Matrix<T>& band,
                                    const Matrix<T>& b, Matrix<T>& c) const {
  for_each_group([&](Index begin, Index end, Index near_begin, Index near_end) {
    products.gemm(Transpose::no, Transpose::no, end - begin, size_, near_end - near_begin,
                  &band(begin, near_begin), band.rows(), &b(near_begin, 0), b.rows(), Onto::zero,
                  &c(begin, 0), c.rows());
  });
}

/// c = a b, only where it is near the diagonal: where Lo^T is not zero, at least.
template <class T>
void RowRecursion<T>::multiply_within_band(const Products& products, Index n, Index k,
                                           const Matrix<T>& a, const Matrix<T>& b,
                                           Matrix<T>& c) const {
  for_each_group([&](Index begin, Index end, Index near_begin, Index near_end) {
    products.gemm(Transpose::no, Transpose::no, near_end - near_begin, std::min(end, n) - begin, k,
                  &a(near_begin, 0), a.rows(), b.col(begin).data(), b.rows(), Onto::zero,
                  &c(near_begin, begin), c.rows());
  });
}

// S_1 = A,  X_i = S_i^{-1} Up,  S_{i+1} = A - Lo X_i
template <class T>
double RowRecursion<T>::factor(std::string_view where, std::span<const T> weights,
                               const Products& products) {
  const Index n = size_;
  double log_abs_det = 0.0;
  computed_ = 0;
  fill_blocks(weights);
  schur_ = diagonal_;
  for (Index block = 0; block + 1 < blocks_; ++block) {
    const auto at = static_cast<std::size_t>(block);
    if (at == steps_.size()) steps_.push_back({Matrix<T>(n, n), Matrix<T>(n, n)});
    Step& step = steps_[at];
    step.inverse = schur_;
    const double of_block = inverter_.invert(where, n, step.inverse.data());
    log_abs_det += of_block;
    ++computed_;
    multiply_by_band(products, n, n, n, step.inverse, above_, step.x);
    multiply_band(products, below_, step.x, product_);
    previous_.swap(schur_);
    schur_ = diagonal_ - product_;
    if (is_same(schur_, previous_)) {
      log_abs_det += static_cast<double>(blocks_ - 2 - block) * of_block;
      break;
    }
  }
  last_.inverse = schur_.topLeftCorner(last_size_, last_size_);
  return log_abs_det + inverter_.invert(where, last_size_, last_.inverse.data());
}

// G_HH = S_H^{-1};  G_{i+1,i} = -G_{i+1,i+1} Lo S_i^{-1},  G_{i,i+1} = -X_i G_{i+1,i+1},
// G_ii = S_i^{-1} - X_i G_{i+1,i}
// d log|det T| / d T(a, b) = G(b, a), summed over the entries that are the same weight.
template <class T>
void RowRecursion<T>::gradient(const Products& products, std::span<T> gradient) {
  const Index n = size_;
  below_sum_.setZero();
  above_sum_.setZero();
  g_.setZero();
  g_.topLeftCorner(last_size_, last_size_) = last_.inverse;
  diagonal_sum_ = g_;
  for (Index block = blocks_ - 2; block >= 0; --block) {
    const Step& step = step_of(block);
    const Index next = size_of(block + 1);
    multiply_by_band(products, next, n, next, g_, below_, product_);
    multiply(products, next, n, n, product_, step.inverse, g_below_);
    multiply_within_band(products, next, next, step.x, g_, g_above_);
    previous_.swap(g_);
    multiply(products, n, n, next, step.x, g_below_, product_);
    g_ = step.inverse + product_;
    // Further up, as far as S is this one, all are the same once G is.
    T count = 1;
    if (next == n && block > computed_ - 1 && is_same(g_, previous_)) {
      count += static_cast<T>(block - (computed_ - 1));
      block = computed_ - 1;
    }
    diagonal_sum_ += count * g_;
    below_sum_.topRows(next) -= count * g_below_.topRows(next);
    above_sum_.leftCols(next) -= count * g_above_.leftCols(next);
  }
  std::fill(gradient.begin(), gradient.end(), T(0));
  for_each_entry(shape_, rows_, [&](Place place, Index row, Index column, Index weight) {
    const Matrix<T>& sum = place == Place::diagonal
                               ? diagonal_sum_
                               : (place == Place::above ? below_sum_ : above_sum_);
    gradient[static_cast<std::size_t>(weight)] += sum(column, row);
  });
}

// Down: u_i = S_i^{-1} (y_i - Lo u_{i-1});  up: x_i = u_i - X_i x_{i+1}
template <class T>
void RowRecursion<T>::solve_in_place(const Products& products, MatrixMap<T> samples) {
  const Index count = samples.cols();
  const Index stride = samples.rows();
  Matrix<T> part(size_, count);
  const auto at = [&](Index block) { return samples.data() + block * size_; };
  for (Index block = 0; block < blocks_; ++block) {
    const Index n = size_of(block);
    const Matrix<T>& inverse = step_of(block).inverse;
    if (block > 0) {
      products.gemm(Transpose::no, Transpose::no, n, count, size_, below_.data(), size_,
                    at(block - 1), stride, Onto::zero, part.data(), size_);
      samples.middleRows(block * size_, n) -= part.topRows(n);
    }
    products.gemm(Transpose::no, Transpose::no, n, count, n, inverse.data(), inverse.rows(),
                  at(block), stride, Onto::zero, part.data(), size_);
    samples.middleRows(block * size_, n) = part.topRows(n);
  }
  for (Index block = blocks_ - 2; block >= 0; --block) {
    products.gemm(Transpose::no, Transpose::no, size_, count, size_of(block + 1),
                  step_of(block).x.data(), size_, at(block + 1), stride, Onto::zero, part.data(),
                  size_);
    samples.middleRows(block * size_, size_) -= part;
  }
}

template class RowRecursion<float>;
template class RowRecursion<double>;

}  // namespace relgrad
