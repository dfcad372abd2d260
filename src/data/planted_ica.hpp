#pragma once
/// Independent sources behind a known mixing, for nonlinear independent component analysis:
/// x_i = h((A s)_i), h(u) = tanh(u) + 0.3 u: sensors that saturate. Such post-nonlinear mixtures
/// determine their sources up to order and scale (Taleb and Jutten, IEEE Trans. Signal Process.
/// 47(10), 1999).
#include "relgrad/core/random.hpp"
#include "relgrad/core/types.hpp"

namespace relgrad {

class PlantedIca {
 public:
  /// A = N Q diag(scale): Q random orthogonal, scales log-uniform in [1/2, 2], N so that every
  /// (A s)_i has variance 1; all a function of (seed, dimension).
  PlantedIca(std::uint64_t seed, Index dimension);
  Index dimension() const { return mixing_.rows(); }
  /// s, of variance 1: Laplace where i is even (heavy tails), uniform where it is odd (none).
  Vector<double> sources(const RandomStream& stream) const;
  /// x from s, both of size D.
  Vector<double> mix(const Vector<double>& sources) const;
  const Matrix<double>& mixing() const { return mixing_; }

 private:
  Matrix<double> mixing_;  // A
};

}  // namespace relgrad
