#pragma once
/// The matrix T of a convolution with as many channels in as out: exact log|det T|, its derivative
/// by the weights, and the inverse.
#include <memory>
#include <span>
#include <string_view>

#include "convolution/convolution.hpp"
#include "relgrad/core/types.hpp"
#include "relgrad/linalg/products.hpp"

namespace relgrad {

/// log|det T| and d log|det T| / d w for a training step, in the precision of the weights; the cost
/// does not depend on the batch.
///
/// Padding by zeros: image rows make T block tridiagonal, with blocks of n = WC max(1, (k - 1)/2)
/// numbers: diagonal A, below Lo, above Up. Without pivoting across blocks,
///   S_1 = A,  S_i = A - Lo S_{i-1}^{-1} Up,   log|det T| = sum_i log|det S_i|
/// and the blocks of G = T^{-1} beside its diagonal follow from the last one up. S_i and G_ii
/// converge to fixed points; where they have, blocks are not computed again. Cost: 8 to 14 n^3
/// flops per block that is computed.
///
/// Circular: the DFT splits T into one C x C block K_f per frequency (Hoogeboom et al., ICML 2019):
///   log|det T| = sum_f log|det K_f|,  d/dw(o, c, i, j) = HW IDFT(K_f^{-1}(c, o)) at (i - r, j - r)
/// Cost: O(HW C^3).
template <class T>
class ConvolutionLogAbsDet {
 public:
  /// @throws UsageError, naming `where`, unless the shape is one of a convolution with
  /// channels_in = channels_out. @param where  of the layer, e.g. "layer/0"
  ConvolutionLogAbsDet(std::string_view where, const ConvolutionShape& shape);
  ~ConvolutionLogAbsDet();
  ConvolutionLogAbsDet(ConvolutionLogAbsDet&&) noexcept;
  ConvolutionLogAbsDet& operator=(ConvolutionLogAbsDet&&) noexcept;

  /// @param gradient  receives d log|det T| / d w, in the weights' order
  /// @return log|det T| of one sample, nats
  /// @throws DivergedError, naming `where`, if a weight is not finite or a block is singular.
  double evaluate(std::string_view where, std::span<const T> weights, const Products& products,
                  std::span<T> gradient);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// About the flops of ConvolutionLogAbsDet::evaluate, at most.
double convolution_log_abs_det_flops(const ConvolutionShape& shape);

/// T factored for evaluation and sampling, in double precision. Padding by zeros: banded LU with
/// partial pivoting gives log|det T|, band WC + 2C - 1 on either side for k = 3; memory 3 D times
/// that, cost 2 to 4 D times its square. Samples are solved for by image rows, 6 D n flops each,
/// and by the banded LU where the residual shows that not to be exact. Circular: the inverse of
/// every frequency's block.
class ConvolutionFactors {
 public:
  /// @throws UsageError as above; DivergedError, naming `where`, if a weight is not finite or T is
  /// singular.
  template <class T>
  ConvolutionFactors(std::string_view where, const ConvolutionShape& shape,
                     std::span<const T> weights);
  ~ConvolutionFactors();
  ConvolutionFactors(ConvolutionFactors&&) noexcept;
  ConvolutionFactors& operator=(ConvolutionFactors&&) noexcept;

  /// log|det T| of one sample, nats.
  double log_abs_det() const;
  /// input = T^{-1} (output - bias) for every column. `input` may be the output's memory.
  /// @param bias  C numbers, or empty: zeros
  template <class T>
  void solve(std::span<const T> bias, const ConstMatrixMap<T>& output, MatrixMap<T> input) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace relgrad
