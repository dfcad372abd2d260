#pragma once
/// Points smeared by isotropic normal noise: what most toys are.
#include <array>
#include <vector>

namespace relgrad {

/// p(x) = mean over k of N(x; centre_k, deviation^2 I) in two dimensions.
struct GaussianCloud {
  std::vector<std::array<double, 2>> centres;
  double deviation = 1;

  double density(const std::array<double, 2>& x) const;
  /// H = -integral of p log p in nats, by the trapezoid rule with a step of deviation / 4, which
  /// for densities as smooth as these leaves less than 1e-9.
  double entropy_nats() const;
};

}  // namespace relgrad
