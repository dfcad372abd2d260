#pragma once
/// Sums whose bits do not depend on the order of their terms, nor on how the terms are split over
/// ranks and threads: every term is first rounded to a multiple of one power of two, coarse enough
/// that no partial sum needs more than the 53 bits of a double. Each addition is then exact.
/// (One bin of the binned summation of Demmel and Nguyen 2013, "Fast reproducible floating-point
/// summation".)
#include <cmath>
#include <cstdint>

namespace relgrad {

/// The common grid of terms of magnitude at most 2^limit_bits, at most `terms` of them. Its step is
/// 2^(limit_bits + ceil(log2 terms) - 51).
class ExactGrid {
 public:
  constexpr ExactGrid(int limit_bits, std::int64_t terms) {
    int bits = limit_bits;
    while ((std::int64_t{1} << (bits - limit_bits)) < terms) ++bits;
    limit_ = power_of_two(limit_bits);
    magic_ = 1.5 * power_of_two(bits + 1);
  }
  /// Nearest point of the grid; beyond +-2^limit_bits the limit itself. NaN stays NaN.
  double round(double term) const {
    const double held = term > limit_ ? limit_ : (term < -limit_ ? -limit_ : term);
    return (held + magic_) - magic_;  // magic's last bit is one step of the grid
  }
  double limit() const { return limit_; }
  double magic() const { return magic_; }

 private:
  static constexpr double power_of_two(int exponent) {
    double power = 1.0;
    for (; exponent > 0; --exponent) power *= 2.0;
    return power;
  }
  double limit_;
  double magic_;
};

}  // namespace relgrad
