#pragma once
/// A convolution padded by zeros, its matrix T taken by image rows: log|det T|, its derivative, and
/// the inverse.
#include <span>
#include <string_view>
#include <vector>

#include "convolution/convolution.hpp"
#include "linalg/invert.hpp"
#include "relgrad/linalg/products.hpp"

namespace relgrad {

/// Equations: ConvolutionLogAbsDet. A block is max(1, (k - 1)/2) image rows, its numbers ordered
/// (row, w, channel); the last block has fewer rows where they do not divide H. In precision T;
/// log|det| is summed in double.
template <class T>
class RowRecursion {
 public:
  explicit RowRecursion(const ConvolutionShape& shape);

  /// @return log|det T|, nats
  /// @throws DivergedError, naming `where`, if a weight is not finite or a block is singular.
  double factor(std::string_view where, std::span<const T> weights, const Products& products);
  /// d log|det T| / d w of the weights last factored.
  void gradient(const Products& products, std::span<T> gradient);
  /// Overwrites samples, as columns ordered (h, w, channel), by T^{-1} times them, without pivoting
  /// across blocks: what is left of them says how good that is. Cost: 6 D n flops per sample.
  void solve_in_place(const Products& products, MatrixMap<T> samples);

  /// Blocks S_i above the last that were computed, and how many there are.
  Index computed_blocks() const { return computed_; }
  Index upper_blocks() const { return blocks_ - 1; }
  /// Largest relative change of a block at which it counts as converged; 0: never.
  void set_tolerance(double tolerance) { tolerance_ = tolerance; }

 private:
  /// S_i^{-1}, and X_i = S_i^{-1} Up where there is a block below.
  struct Step {
    Matrix<T> inverse;
    Matrix<T> x;
  };
  void fill_blocks(std::span<const T> weights);
  bool is_same(const Matrix<T>& now, const Matrix<T>& before) const;
  Index size_of(Index block) const { return block + 1 < blocks_ ? size_ : last_size_; }
  const Step& step_of(Index block) const;
  template <class Work>
  void for_each_group(const Work& work) const;
  void multiply(const Products& products, Index m, Index n, Index k, const Matrix<T>& a,
                const Matrix<T>& b, Matrix<T>& c) const;
  void multiply_by_band(const Products& products, Index m, Index n, Index k, const Matrix<T>& a,
                        const Matrix<T>& band, Matrix<T>& c) const;
  void multiply_band(const Products& products, const Matrix<T>& band, const Matrix<T>& b,
                     Matrix<T>& c) const;
  void multiply_within_band(const Products& products, Index n, Index k, const Matrix<T>& a,
                            const Matrix<T>& b, Matrix<T>& c) const;

  ConvolutionShape shape_;
  Index rows_;       // image rows of a block
  Index blocks_;     // of T's diagonal
  Index size_;       // of a block
  Index last_size_;  // of the last one
  Index units_;      // parts of a block that meet only their neighbours in Lo and Up
  Index reach_;      // how many neighbours on either side
  Index computed_ = 0;
  double tolerance_;
  Matrix<T> diagonal_;       // A
  Matrix<T> below_;          // Lo
  Matrix<T> above_;          // Up
  std::vector<Step> steps_;  // of the first blocks, until they no longer change
  Step last_;                // of the last block
  Inverter<T> inverter_;
  Matrix<T> schur_;     // S_i
  Matrix<T> previous_;  // S_{i-1}, G_{i+1,i+1}
  Matrix<T> g_;         // G_ii
  Matrix<T> g_below_;   // -G_{i+1,i}
  Matrix<T> g_above_;   // -G_{i,i+1}, where Lo^T is not zero
  Matrix<T> product_;
  Matrix<T> diagonal_sum_;  // sums of these over i
  Matrix<T> below_sum_;
  Matrix<T> above_sum_;
};

}  // namespace relgrad
