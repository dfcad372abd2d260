#pragma once
/// A circular convolution in the frequency domain: one C x C block per frequency.
#include <complex>
#include <span>
#include <string_view>
#include <vector>

#include "convolution/convolution.hpp"
#include "linalg/fourier.hpp"
#include "linalg/invert.hpp"

namespace relgrad {

/// In precision T; log|det| is summed in double.
template <class T>
class FrequencyBlocks {
 public:
  explicit FrequencyBlocks(const ConvolutionShape& shape);

  /// Computes K_f of the weights and replaces each by its inverse.
  /// @return log|det T| = sum_f log|det K_f|, nats
  /// @throws DivergedError, naming `where`, if a weight is not finite or a block is singular.
  double invert(std::string_view where, std::span<const T> weights);
  /// d log|det T| / d w of the weights last inverted. Uses up the inverses.
  void gradient(std::span<T> gradient);
  /// input = T^{-1} output for samples as columns, with the inverses of the last invert().
  void solve(const ConstMatrixMap<T>& output, MatrixMap<T> input) const;

 private:
  /// Where tap (i, j) lies in a plane: at position (i - r, j - r), times `sign`, modulo H and W.
  Index position(Index i, Index j, Index sign) const;
  std::complex<T>& entry(Index f, Index row, Index column) {
    return blocks_[static_cast<std::size_t>((f * channels_ + column) * channels_ + row)];
  }

  ConvolutionShape shape_;
  Index channels_;
  FourierTransform<T> fourier_;
  Inverter<std::complex<T>> inverter_;
  std::vector<T> planes_;                 // [channel out][channel in][H][W]
  std::vector<std::complex<T>> spectra_;  // [channel out][channel in][frequency]
  std::vector<std::complex<T>> blocks_;   // [frequency], each C x C, column-major
};

}  // namespace relgrad
