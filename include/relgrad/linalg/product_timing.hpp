#pragma once
/// How long back ends take for the products of a run.
#include <array>
#include <vector>

#include "relgrad/linalg/products.hpp"

namespace relgrad {

/// Times one product by several back ends in turns, on random numbers. Of a large product only a
/// part is computed: fewer of W's columns, which meet the same numbers of samples. W is not in
/// cache if it does not fit there.
template <class T>
class ProductTimer {
 public:
  /// @param shape  with op(A) transposed or not a part of the D x D' weights W (the matrices are
  ///               told apart by their ops): W X (no, no), W^T [Delta | Y] (yes, no), a tile of
  ///               Delta P^T (no, yes), after which what an optimizer reads is read as well.
  /// @param most_flops  of a call
  ProductTimer(const ProductShape& shape, double most_flops);

  /// Seconds of one product, the whole of `shape`, by `products`.
  double seconds(const Products& products);
  /// Of the last product: the largest |error| of some hundred elements over the bound of float
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
  std::vector<T> weights_, samples_, result_;
  std::array<std::vector<T>, 3> beside_;
  double sink_ = 0;
};

}  // namespace relgrad
