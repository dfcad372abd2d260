#pragma once
/// Quantile of the standard normal: algorithm AS 241 (Wichura 1988, Applied Statistics 37,
/// 477-484), PPND7 in single and PPND16 in double precision, without branches.
#include <cmath>

#include "core/simd_math.hpp"

namespace relgrad {

/// Coefficients of the three rational functions: centre (p > 0.075), tail (p > e^-25), far tail.
template <class T>
struct NormalQuantileCoefficients;

template <>
struct NormalQuantileCoefficients<float> {
  static constexpr std::array<float, 4> a{3.3871327179F, 50.434271938F, 159.29113202F,
                                          59.109374720F};
  static constexpr std::array<float, 4> b{1.0F, 17.895169469F, 78.757757664F, 67.187563600F};
  static constexpr std::array<float, 4> c{1.4234372777F, 2.7568153900F, 1.3067284816F,
                                          0.17023821103F};
  static constexpr std::array<float, 3> d{1.0F, 0.73700164250F, 0.12021132975F};
  static constexpr std::array<float, 4> e{6.6579051150F, 3.0812263860F, 0.42868294337F,
                                          0.017337203997F};
  static constexpr std::array<float, 3> f{1.0F, 0.24197894225F, 0.012258202635F};
};

template <>
struct NormalQuantileCoefficients<double> {
  static constexpr std::array<double, 8> a{3.3871328727963666080e0,  1.3314166789178437745e+2,
                                           1.9715909503065514427e+3, 1.3731693765509461125e+4,
                                           4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                           3.3430575583588128105e+4, 2.5090809287301226727e+3};
  static constexpr std::array<double, 8> b{1.0,
                                           4.2313330701600911252e+1,
                                           6.8718700749205790830e+2,
                                           5.3941960214247511077e+3,
                                           2.1213794301586595867e+4,
                                           3.9307895800092710610e+4,
                                           2.8729085735721942674e+4,
                                           5.2264952788528545610e+3};
  static constexpr std::array<double, 8> c{1.42343711074968357734e0,  4.63033784615654529590e0,
                                           5.76949722146069140550e0,  3.64784832476320460504e0,
                                           1.27045825245236838258e0,  2.41780725177450611770e-1,
                                           2.27238449892691845833e-2, 7.74545014278341407640e-4};
  static constexpr std::array<double, 8> d{1.0,
                                           2.05319162663775882187e0,
                                           1.67638483018380384940e0,
                                           6.89767334985100004550e-1,
                                           1.48103976427480074590e-1,
                                           1.51986665636164571966e-2,
                                           5.47593808499534494600e-4,
                                           1.05075007164441684324e-9};
  static constexpr std::array<double, 8> e{6.65790464350110377720e0,  5.46378491116411436990e0,
                                           1.78482653991729133580e0,  2.96560571828504891230e-1,
                                           2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                           2.71155556874348757815e-5, 2.01033439929228813265e-7};
  static constexpr std::array<double, 8> f{1.0,
                                           5.99832206555887937690e-1,
                                           1.36929880922735805310e-1,
                                           1.48753612908506148525e-2,
                                           7.86869131145613259100e-4,
                                           1.84631831751005468180e-5,
                                           1.42151175831644588870e-7,
                                           2.04426310338993978564e-15};
};

/// -z with Phi(z) = p, for the smaller tail p, 0 < p <= 1/2: a number >= 0.
template <class T>
RELGRAD_INLINE T normal_quantile_magnitude(T p) {
  using K = NormalQuantileCoefficients<T>;
  const T q = T(0.5) - p;
  const T square = T(0.180625) - q * q;
  const T r = std::sqrt(-simd::log(p));
  const bool is_centre = q <= T(0.425);
  const bool is_far = r > T(5);
  const T near = r - T(1.6);
  const T far = r - T(5);
  const T tail_top = is_far ? simd::polynomial(K::e, far) : simd::polynomial(K::c, near);
  const T tail_bottom = is_far ? simd::polynomial(K::f, far) : simd::polynomial(K::d, near);
  const T top = is_centre ? q * simd::polynomial(K::a, square) : tail_top;
  const T bottom = is_centre ? simd::polynomial(K::b, square) : tail_bottom;
  return top / bottom;
}

}  // namespace relgrad
