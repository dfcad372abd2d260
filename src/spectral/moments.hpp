#pragma once
/// The spectral layer's start in closed form: the best Gaussian that is the same at every position,
/// with reflecting borders. S_f is the covariance of the C numbers at frequency f over training
/// images; K_f = S_f^{-1/2} and b_f = -K_f mean_f make all of them uncorrelated, with variance 1.
#include <span>
#include <vector>

#include "linalg/fourier.hpp"
#include "relgrad/core/types.hpp"
#include "spectral/spectral.hpp"

namespace relgrad {

template <class T>
class SpectralMoments {
 public:
  SpectralMoments(Index channels, Index height, Index width);
  /// Adds the columns of a batch, D x B. Cost: a DCT and D (C + 3) flops per sample.
  void add(const ConstMatrixMap<T>& batch);
  /// The sums of this rank, about D (C + 1) doubles; replaced by the sums over ranks before
  /// start(). (Rounded, so their last bits depend on how samples are split.)
  std::span<double> sums() { return sums_; }
  /// Writes K_f and b_f. From few images a covariance is uncertain, so it is that of the images and
  /// C more with the same variance in all directions; and variances below 1e-8 of their mean over
  /// all numbers count as that, so that K_f stays below 1e4 of its usual size. Cost: 9 D C^2 flops.
  /// @throws DataError naming `where` if no image was added or all images are the same.
  void start(const char* where, const SpectralSpans<T>& parameters) const;

 private:
  Index channels_;
  Index frequencies_;
  CosineTransform<T> transform_;
  std::vector<double> sums_;  // images; sums of z, D; sums of z_c z_d, H W x C^2, d <= c alone
  Matrix<T> spectrum_;
};

}  // namespace relgrad
