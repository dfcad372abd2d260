#pragma once
/// The marginal of one real column: a monotone rational-quadratic spline through points (empirical
/// quantile, normal quantile), straight beyond the outer ones; smooth to first order, and inverted
/// in closed form.
#include <algorithm>
#include <span>
#include <vector>

#include "core/rational_quadratic.hpp"

namespace relgrad {

struct KnotsView {
  std::span<const double> value, normal, slope;

  /// Normal value of `v`, and the slope there.
  RationalQuadraticPoint<double> forward(double v) const {
    const std::size_t last = value.size() - 1;
    if (!(v > value[0])) return {normal[0] + slope[0] * (v - value[0]), slope[0]};
    if (v >= value[last]) return {normal[last] + slope[last] * (v - value[last]), slope[last]};
    return evaluate(bin(bin_of(value, v)), v);
  }

  double inverse(double z) const {
    const std::size_t last = value.size() - 1;
    if (!(z > normal[0])) return value[0] + (z - normal[0]) / slope[0];
    if (z >= normal[last]) return value[last] + (z - normal[last]) / slope[last];
    return invert(bin(bin_of(normal, z)), z);
  }

 private:
  static std::size_t bin_of(std::span<const double> knots, double at) {
    return static_cast<std::size_t>(std::ranges::upper_bound(knots, at) - knots.begin()) - 1;
  }
  RationalQuadraticBin<double> bin(std::size_t k) const {
    return {value[k],    value[k + 1] - value[k], normal[k], normal[k + 1] - normal[k], slope[k],
            slope[k + 1]};
  }
};

struct Knots {
  std::vector<double> value;
  std::vector<double> normal;
  std::vector<double> slope;
  KnotsView view() const { return {value, normal, slope}; }
};

/// As many knots as the rows bear out: what more of them promise must show on held-out rows by more
/// than a standard error; two are a normal distribution. Their number grows like the third root of
/// the rows, to at most 256. A value far beyond all others has a knot of its own and changes
/// nothing elsewhere. One knot if all values are the same.
Knots fit_knots(std::vector<double> column);

}  // namespace relgrad
