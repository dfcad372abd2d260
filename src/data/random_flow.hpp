#pragma once
/// A random flow whose density and entropy are known: x = A2 s^-1(A1 z + b1) + b2, z standard
/// normal, s the smooth leaky ReLU with a = 0.3, so that two linear layers with s between them can
/// represent it.
#include <cstdint>
#include <span>

#include "relgrad/core/random.hpp"
#include "relgrad/core/types.hpp"

namespace relgrad {

class RandomFlow {
 public:
  /// A = Q diag(scale) with Q random orthogonal; all a function of (seed, dimension).
  RandomFlow(std::uint64_t seed, Index dimension);
  Index dimension() const { return shift1_.size(); }
  /// x from z, both of size D.
  Vector<double> sample(const Vector<double>& z) const;
  /// log p(x) in nats.
  double log_density(const Vector<double>& x) const;
  /// H = D/2 log(2 pi e) + log|det A1| + log|det A2| - sum_i E log s'(s^-1(y_i)) in nats, where y_i
  /// is normal with mean b1_i and variance |row i of A1|^2; the expectations by quadrature, to
  /// 1e-10.
  double entropy_nats() const;

 private:
  double log_abs_det1_ = 0;  // before the factors, whose making sets them
  double log_abs_det2_ = 0;
  Matrix<double> factor1_;  // A1
  Matrix<double> factor2_;
  Vector<double> shift1_;
  Vector<double> shift2_;
};

}  // namespace relgrad
