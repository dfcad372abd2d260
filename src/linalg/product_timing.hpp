#pragma once
/// Times of the products of a run with each back end.
#include <array>
#include <vector>

#include "linalg/column_pass.hpp"
#include "relgrad/core/huge_page_buffer.hpp"
#include "relgrad/linalg/products.hpp"

namespace relgrad {

/// Numbers in huge pages, where a run's weights and moments are as well: with small ones a pass
/// over many columns side by side takes longer.
template <class T>
class WeightArray {
 public:
  WeightArray() = default;
  explicit WeightArray(std::size_t size) : memory_(size), size_(size) {}
  T* data() const { return memory_.get(); }
  std::size_t size() const { return size_; }

 private:
  HugePageBuffer<T> memory_;
  std::size_t size_ = 0;
};

/// Times one product with several back ends by turns, on random numbers. Of a large product it
/// computes only a part: fewer columns of W, with the same number of samples. W is not in cache if
/// it does not fit there.
template <class T>
class ProductTimer {
 public:
  /// @param shape  its two ops tell which product it is: W X (no, no), W^T [Delta | Y] (yes, no),
  ///               or a tile of Delta P^T (no, yes), after which three matrices like it are read
  ///               and written, as an optimizer does.
  /// @param most_flops  flops per call, at most
  ProductTimer(const ProductShape& shape, double most_flops);

  /// Seconds of one product, the whole of `shape`, by `products`.
  double seconds(const Products& products);
  /// For the last product: the largest |error| of about 100 elements, divided by the bound of float
  /// summation, (k + 2) epsilon sum_k |a_ik b_kj|; operands rounded to bf16 first if `products`
  /// does. Below 1 if the product is right.
  double error_over_bound(const Products& products) const;

 private:
  const T* a() const { return weights_.data() + at_; }

  ProductShape shape_;
  ProductShape part_;
  bool is_outer_;
  Index lda_, ldb_;
  Index at_ = 0;  // where in weights_ the last product began
  WeightArray<T> weights_;
  std::vector<T> samples_, result_;
  std::array<WeightArray<T>, 3> beside_;
  volatile T one_ = 1;
};

/// Times W^T X and a tile of left right^T for every column of W, in one pass (linalg/column_pass),
/// and reads and writes three matrices as an optimizer does: what ProductTimer times of both
/// products.
template <class T>
class PassTimer {
 public:
  /// @param shape    of W^T X, for which the pass is available
  /// @param samples  columns of `left`
  /// @param most_flops  of W^T X per call, at most
  PassTimer(const ProductShape& shape, Index samples, double most_flops);
  /// Seconds for all columns of W.
  double seconds();

 private:
  ProductShape shape_;
  ProductShape part_;
  Index at_ = 0;  // where in weights_ the last pass began
  std::vector<T> left_, factors_, products_;
  std::array<WeightArray<T>, 3> weights_;  // and moments
  ColumnPass<T> pass_;
  volatile T one_ = 1;
};

}  // namespace relgrad
