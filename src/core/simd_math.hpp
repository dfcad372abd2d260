#pragma once
/// exp, log and their kin without branches and without library calls, so that the compiler can turn
/// loops over them into vector code; and the macro that compiles such a loop for several CPUs.
/// Relative error: about 1e-7 (float) and 3e-16 (double) inside the ranges named below.
#include <array>
#include <bit>
#include <cstdint>
#include <utility>

// One function, compiled for AVX-512, AVX2 and the baseline; the loader picks what the CPU has. The
// micro-architecture levels are asked for by feature: names of Intel models would not match on AMD.
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#if __GNUC__ >= 12
#define RELGRAD_SIMD_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif
#endif
#ifndef RELGRAD_SIMD_CLONES
#define RELGRAD_SIMD_CLONES
#endif
#define RELGRAD_INLINE inline __attribute__((always_inline))

namespace relgrad::simd {

/// Bit layout of an IEEE number of type T.
template <class T>
struct Bits;

template <>
struct Bits<float> {
  using Word = std::uint32_t;
  static constexpr int mantissa = 23;
  static constexpr Word exponent_bias = 127;
  static constexpr Word one = 0x3F800000U;
  static constexpr Word sqrt_half = 0x3F3504F3U;
  static constexpr float round_magic = 0x1.8p23F;     // adding it rounds to an integer
  static constexpr Word integer_magic = 0x4B000000U;  // 2^23: or-ing an integer in makes 2^23 + it
  static constexpr float integer_offset = 0x1p23F;
  static constexpr float ln2_high = 6.9313812256e-01F;
  static constexpr float ln2_low = 9.0580006145e-06F;
  static constexpr float exp_min = -87.0F;
  static constexpr float exp_max = 88.0F;
  static constexpr int expm1_terms = 7;
};

template <>
struct Bits<double> {
  using Word = std::uint64_t;
  static constexpr int mantissa = 52;
  static constexpr Word exponent_bias = 1023;
  static constexpr Word one = 0x3FF0000000000000U;
  static constexpr Word sqrt_half = 0x3FE6A09E667F3BCDU;
  static constexpr double round_magic = 0x1.8p52;
  static constexpr Word integer_magic = 0x4330000000000000U;
  static constexpr double integer_offset = 0x1p52;
  static constexpr double ln2_high = 6.93147180369123816490e-01;
  static constexpr double ln2_low = 1.90821492927058770002e-10;
  static constexpr double exp_min = -708.0;
  static constexpr double exp_max = 709.0;
  static constexpr int expm1_terms = 14;
};

template <class T>
RELGRAD_INLINE T absolute(T x) {
  return x < T(0) ? -x : x;
}
template <class T>
RELGRAD_INLINE T larger(T x, T y) {
  return x > y ? x : y;
}
template <class T>
RELGRAD_INLINE T smaller(T x, T y) {
  return x < y ? x : y;
}

/// c[0] + c[1] x + c[2] x^2 + ... by Horner's rule, written out so that no inner loop is left.
template <class T, std::size_t N>
RELGRAD_INLINE T polynomial(const std::array<T, N>& c, T x) {
  return [&]<std::size_t... I>(std::index_sequence<I...>) __attribute__((always_inline)) {
    T sum = c[N - 1];
    ((sum = sum * x + c[N - 2 - I]), ...);
    return sum;
  }
  (std::make_index_sequence<N - 1>{});
}

/// 1/1!, 1/2!, ...: the series of (e^r - 1) / r.
template <class T>
constexpr auto expm1_series() {
  std::array<T, static_cast<std::size_t>(Bits<T>::expm1_terms)> c{};
  double factorial = 1.0;
  for (std::size_t i = 0; i < c.size(); ++i) {
    factorial *= static_cast<double>(i + 1);
    c[i] = static_cast<T>(1.0 / factorial);
  }
  return c;
}

template <class T>
struct ExpPair {
  T exp;    // e^x
  T expm1;  // e^x - 1, without cancellation near 0
};

/// e^x and e^x - 1. x is held inside [-87, 88] (float), [-708, 709] (double).
template <class T>
RELGRAD_INLINE ExpPair<T> exp_and_expm1(T x) {
  using B = Bits<T>;
  constexpr auto series = expm1_series<T>();
  const T held = smaller(larger(x, B::exp_min), B::exp_max);
  // x = n ln 2 + r, |r| <= ln 2 / 2:  e^x = 2^n + 2^n (e^r - 1)
  const T shifted = held * T(1.4426950408889634074) + B::round_magic;
  const T n = shifted - B::round_magic;
  const T r = (held - n * B::ln2_high) - n * B::ln2_low;
  using Word = typename B::Word;
  const Word exponent = std::bit_cast<Word>(shifted) << B::mantissa;
  const T power = std::bit_cast<T>(static_cast<Word>(exponent + B::one));
  const T scaled = power * (r * polynomial(series, r));
  return {power + scaled, scaled + (power - T(1))};
}

template <class T>
RELGRAD_INLINE T exp(T x) {
  return exp_and_expm1(x).exp;
}

/// (log(1 + f) - f + f^2/2) / s with s = f / (2 + f), f^2/2 = hfsq: fdlibm's e_log.c, s_logf.c.
RELGRAD_INLINE float log_remainder(float s, float hfsq) {
  const float z = s * s;
  const float w = z * z;
  const float odd = z * (0xaaaaaa.0p-24F + w * 0x91e9ee.0p-25F);
  const float even = w * (0xccce13.0p-25F + w * 0xf89e26.0p-26F);
  return s * (hfsq + (odd + even));
}
RELGRAD_INLINE double log_remainder(double s, double hfsq) {
  const double z = s * s;
  const double w = z * z;
  const double odd = z * (6.666666666666735130e-01 +
                          w * (2.857142874366239149e-01 +
                               w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
  const double even = w * (3.999999999940941908e-01 +
                           w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
  return s * (hfsq + (odd + even));
}

/// log x for positive normal x. 0, negative and non-finite x give some finite number: callers keep
/// their arguments positive and see non-finite input in their linear terms.
template <class T>
RELGRAD_INLINE T log(T x) {
  using B = Bits<T>;
  using Word = typename B::Word;
  constexpr Word fraction = (Word{1} << B::mantissa) - 1;
  // x = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2)
  const Word shifted = std::bit_cast<Word>(x) + (B::one - B::sqrt_half);
  const T k = std::bit_cast<T>(static_cast<Word>((shifted >> B::mantissa) | B::integer_magic)) -
              (B::integer_offset + static_cast<T>(B::exponent_bias));
  const T f = std::bit_cast<T>(static_cast<Word>((shifted & fraction) + B::sqrt_half)) - T(1);
  const T hfsq = T(0.5) * f * f;
  const T remainder = log_remainder(f / (T(2) + f), hfsq);
  return (((remainder + k * B::ln2_low) - hfsq) + f) + k * B::ln2_high;
}

/// log(1 + x) for x >= 0: log u + (x - (u - 1)) / u with u = 1 + x rounded.
template <class T>
RELGRAD_INLINE T log1p(T x) {
  const T u = T(1) + x;
  return log(u) + (x - (u - T(1))) / u;
}

}  // namespace relgrad::simd
