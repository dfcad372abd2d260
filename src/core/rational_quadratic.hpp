#pragma once
/// One bin of a monotone rational-quadratic spline (Gregory and Delbourgo 1982; Durkan et al. 2019,
/// arXiv 1906.04032, section 3.1): from (x0, y0) with slope d0 to (x0 + w, y0 + h) with slope d1.
#include <cmath>

#include "core/simd_math.hpp"

namespace relgrad {

template <class T>
struct RationalQuadraticBin {
  T x0, width, y0, height, d0, d1;
};

template <class T>
struct RationalQuadraticPoint {
  T value, slope;
};

// With theta = (x - x0) / w, S = h / w, t = theta (1 - theta), D = S + (d1 + d0 - 2 S) t:
//   value = y0 + h (S theta^2 + d0 t) / D
//   slope = S^2 (d1 theta^2 + 2 S t + d0 (1 - theta)^2) / D^2
template <class T>
RELGRAD_INLINE RationalQuadraticPoint<T> evaluate(const RationalQuadraticBin<T>& bin, T x) {
  const T inverse_width = T(1) / bin.width;
  const T theta = (x - bin.x0) * inverse_width;
  const T secant = bin.height * inverse_width;
  const T rest = T(1) - theta;
  const T t = theta * rest;
  const T inverse_denominator = T(1) / (secant + (bin.d1 + bin.d0 - T(2) * secant) * t);
  const T numerator = secant * theta * theta + bin.d0 * t;
  const T blend = bin.d1 * theta * theta + T(2) * secant * t + bin.d0 * rest * rest;
  const T ratio = secant * inverse_denominator;
  return {bin.y0 + bin.height * numerator * inverse_denominator, ratio * ratio * blend};
}

/// The x inside the bin with evaluate(bin, x).value == y. With r = y - y0, m = d1 + d0 - 2 S:
///   a theta^2 + b theta + c = 0,  a = h (S - d0) + r m,  b = h d0 - r m,  c = -S r
///   theta = 2 c / (-b - sqrt(b^2 - 4 a c)), the form without cancellation, as b >= 0 where a < 0.
template <class T>
RELGRAD_INLINE T invert(const RationalQuadraticBin<T>& bin, T y) {
  const T secant = bin.height / bin.width;
  const T rise = y - bin.y0;
  const T bend = rise * (bin.d1 + bin.d0 - T(2) * secant);
  const T a = bin.height * (secant - bin.d0) + bend;
  const T b = bin.height * bin.d0 - bend;
  const T c = -secant * rise;
  const T discriminant = simd::larger(b * b - T(4) * a * c, T(0));
  const T theta = T(2) * c / (-b - std::sqrt(discriminant));
  return bin.x0 + simd::smaller(simd::larger(theta, T(0)), T(1)) * bin.width;
}

}  // namespace relgrad
