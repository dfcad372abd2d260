#include "model/kernels/spline_kernels.hpp"

#include <type_traits>

#include "core/rational_quadratic.hpp"
#include "core/simd_math.hpp"

namespace relgrad::kernels {

namespace {

constexpr int lanes_max = spline_lanes;

template <class T>
using Lane = T[lanes_max];
template <class T>
using Integer = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;

template <class T>
RELGRAD_INLINE void load(const T* from, int lanes, Lane<T>& to) {
  if (lanes == lanes_max) {
    for (int j = 0; j < lanes_max; ++j) to[j] = from[j];
  } else {
    for (int j = 0; j < lanes_max; ++j) to[j] = j < lanes ? from[j] : T(0);
  }
}

template <class T>
RELGRAD_INLINE void store(const Lane<T>& from, int lanes, T* to) {
  if (lanes == lanes_max) {
    for (int j = 0; j < lanes_max; ++j) to[j] = from[j];
  } else {
    for (int j = 0; j < lanes; ++j) to[j] = from[j];
  }
}

/// Inputs held inside [x_0, x_K], and the bin each lies in.
template <class T>
struct Located {
  alignas(64) Lane<T> input;
  alignas(64) Lane<T> held;
  alignas(64) Lane<Integer<T>> bin;
};

template <class T>
RELGRAD_INLINE void locate(const T* knots, int bins, Located<T>& at) {
  const T* last = knots + static_cast<Count>(bins) * 3 * lanes_max;
#pragma omp simd
  for (int j = 0; j < lanes_max; ++j) {
    at.held[j] = simd::smaller(simd::larger(at.input[j], knots[j]), last[j]);
    at.bin[j] = 0;
  }
  for (int k = 1; k < bins; ++k) {
    const T* x = knots + static_cast<Count>(k) * 3 * lanes_max;
#pragma omp simd
    for (int j = 0; j < lanes_max; ++j) at.bin[j] += at.held[j] >= x[j] ? 1 : 0;
  }
}

template <class T>
RELGRAD_INLINE RationalQuadraticBin<T> gather_bin(const T* knots, Integer<T> bin, int j) {
  const Integer<T> at = bin * (3 * lanes_max) + j;
  const T x0 = knots[at];
  const T y0 = knots[at + lanes_max];
  return {x0,
          knots[at + 3 * lanes_max] - x0,
          y0,
          knots[at + 4 * lanes_max] - y0,
          knots[at + 2 * lanes_max],
          knots[at + 5 * lanes_max]};
}

// Tails: the spline at the outer knot plus that knot's slope times the distance to it.
template <class T>
RELGRAD_INLINE void forward_body(TileShape shape, const T* knots, const T* input, T* output,
                                 Count samples, double* log_abs_det) {
  Located<T> at;
  alignas(64) Lane<T> out;
  for (Count n = 0; n < samples; ++n) {
    load(input + n * shape.stride, shape.lanes, at.input);
    locate(knots, shape.bins, at);
    T log_slopes = 0;
#pragma omp simd reduction(+ : log_slopes)
    for (int j = 0; j < lanes_max; ++j) {
      const auto point = evaluate(gather_bin(knots, at.bin[j], j), at.held[j]);
      out[j] = point.value + point.slope * (at.input[j] - at.held[j]);
      log_slopes += j < shape.lanes ? simd::log(point.slope) : T(0);
    }
    store(out, shape.lanes, output + n * shape.stride);
    log_abs_det[n] += static_cast<double>(log_slopes);
  }
}

/// d(c value + log slope) for one number, by its bin's place, width, height and slopes.
template <class T>
struct BinGradient {
  T input;       // d / d x, the element's delta_in
  T x0, width;   // d / d x0 with the width fixed, d / d width
  T y0, height;  // the same of y
  T d0, d1;
};

// Names as in core/rational_quadratic.hpp, R = N / D, P = d1 theta^2 + 2 S t + d0 (1 - theta)^2:
//   L = c (y0 + h R) + 2 log S + log P - 2 log D
// derived by theta, S, d0, d1 and then by width and height through theta = (x - x0) / w, S = h / w.
template <class T>
RELGRAD_INLINE BinGradient<T> bin_gradient(const RationalQuadraticBin<T>& bin, T x, T c) {
  const T inverse_width = T(1) / bin.width;
  const T theta = (x - bin.x0) * inverse_width;
  const T secant = bin.height * inverse_width;
  const T rest = T(1) - theta;
  const T t = theta * rest;
  const T bend = bin.d1 + bin.d0 - T(2) * secant;
  const T blend = bin.d1 * theta * theta + T(2) * secant * t + bin.d0 * rest * rest;
  const T inverse_blend = T(1) / blend;
  const T inverse_denominator = T(1) / (secant + bend * t);
  const T ratio = (secant * theta * theta + bin.d0 * t) * inverse_denominator;
  const T gain = c * bin.height * inverse_denominator;

  // dR/dtheta = S P / D^2
  const T by_theta =
      gain * secant * blend * inverse_denominator +
      T(2) * (bin.d1 * theta + secant * (T(1) - T(2) * theta) - bin.d0 * rest) * inverse_blend -
      T(2) * bend * (T(1) - T(2) * theta) * inverse_denominator;
  const T denominator_by_secant = T(1) - T(2) * t;
  const T by_secant = gain * (theta * theta - ratio * denominator_by_secant) + T(2) / secant +
                      T(2) * t * inverse_blend - T(2) * denominator_by_secant * inverse_denominator;
  const T by_x = by_theta * inverse_width;
  const T log_part = -T(2) * t * inverse_denominator;
  return {by_x,
          -by_x,
          -(by_secant * secant + by_theta * theta) * inverse_width,
          c,
          c * ratio + by_secant * inverse_width,
          gain * t * (T(1) - ratio) + rest * rest * inverse_blend + log_part,
          -gain * t * ratio + theta * theta * inverse_blend + log_part};
}

/// Beyond the outer knots only the outer slope counts: L = c (y_end + d (x - x_end)) + log d.
template <class T>
RELGRAD_INLINE BinGradient<T> tail_gradient(const RationalQuadraticBin<T>& bin, T overshoot, T c) {
  const T slope = overshoot < T(0) ? bin.d0 : bin.d1;
  const T by_slope = c * overshoot + T(1) / slope;
  return {c * slope,
          T(0),
          T(0),
          T(0),
          T(0),
          overshoot < T(0) ? by_slope : T(0),
          overshoot < T(0) ? T(0) : by_slope};
}

/// sum <- sum + found, eight numbers
template <class T>
struct PlainAdder {
  using Sum = T;
  RELGRAD_INLINE void operator()(const T* found, T* sum) const {
#pragma omp simd
    for (int i = 0; i < spline_sums; ++i) sum[i] += found[i];
  }
};

/// The same with every term rounded to the grid first: as ExactGrid::round.
template <class T>
struct ExactAdder {
  using Sum = double;
  double limit;
  double magic;
  RELGRAD_INLINE void operator()(const T* found, double* sum) const {
#pragma omp simd
    for (int i = 0; i < spline_sums; ++i) {
      const double held = simd::smaller(simd::larger(static_cast<double>(found[i]), -limit), limit);
      sum[i] += (held + magic) - magic;
    }
  }
};

template <class T, class Adder>
RELGRAD_INLINE void backward_body(TileShape shape, const T* knots, const T* input,
                                  const T* delta_out, T* delta_in, Count samples, const Adder& add,
                                  typename Adder::Sum* sums) {
  Located<T> at;
  alignas(64) Lane<T> delta;
  alignas(64) T found[lanes_max * spline_sums] = {};
  for (Count n = 0; n < samples; ++n) {
    load(input + n * shape.stride, shape.lanes, at.input);
    load(delta_out + n * shape.stride, shape.lanes, delta);
    locate(knots, shape.bins, at);
#pragma omp simd
    for (int j = 0; j < lanes_max; ++j) {
      const auto bin = gather_bin(knots, at.bin[j], j);
      const T overshoot = at.input[j] - at.held[j];
      const auto inside = bin_gradient(bin, at.held[j], delta[j]);
      const auto tail = tail_gradient(bin, overshoot, delta[j]);
      const bool is_tail = overshoot != T(0);
      delta[j] = is_tail ? tail.input : inside.input;
      found[j * spline_sums + 0] = is_tail ? T(0) : inside.x0;
      found[j * spline_sums + 1] = is_tail ? T(0) : inside.width;
      found[j * spline_sums + 2] = is_tail ? T(0) : inside.y0;
      found[j * spline_sums + 3] = is_tail ? T(0) : inside.height;
      found[j * spline_sums + 4] = is_tail ? tail.d0 : inside.d0;
      found[j * spline_sums + 5] = is_tail ? tail.d1 : inside.d1;
      found[j * spline_sums + 6] = T(0);
      found[j * spline_sums + 7] = T(0);
    }
    store(delta, shape.lanes, delta_in + n * shape.stride);
    for (int j = 0; j < lanes_max; ++j) {
      add(found + j * spline_sums,
          sums + (static_cast<Count>(j) * shape.bins + at.bin[j]) * spline_sums);
    }
  }
}

/// Softmax of K raw numbers per lane, and the K + 1 knots from -bound to bound it makes, each bin
/// at least spline_min_share of the range.
template <class T>
RELGRAD_INLINE void knots_from_softmax(TileShape shape, const T* raw, T bound, T* share, T* knots) {
  constexpr Count knot_stride = 3 * lanes_max;
  alignas(64) Lane<T> largest;
  alignas(64) Lane<T> total = {};
  alignas(64) Lane<T> value;
  load(raw, shape.lanes, largest);
  for (int k = 1; k < shape.bins; ++k) {
    load(raw + k * shape.stride, shape.lanes, value);
    for (int j = 0; j < lanes_max; ++j) largest[j] = simd::larger(largest[j], value[j]);
  }
  for (int k = 0; k < shape.bins; ++k) {
    load(raw + k * shape.stride, shape.lanes, value);
#pragma omp simd
    for (int j = 0; j < lanes_max; ++j) {
      const T e = simd::exp(value[j] - largest[j]);
      share[k * lanes_max + j] = e;
      total[j] += e;
    }
  }
  const T free_share = T(1) - T(spline_min_share) * static_cast<T>(shape.bins);
  for (int j = 0; j < lanes_max; ++j) {
    knots[j] = -bound;
    knots[shape.bins * knot_stride + j] = bound;
  }
  for (int k = 0; k < shape.bins; ++k) {
#pragma omp simd
    for (int j = 0; j < lanes_max; ++j) {
      T& own = share[k * lanes_max + j];
      own /= total[j];
      const T width = T(2) * bound * (T(spline_min_share) + free_share * own);
      if (k + 1 < shape.bins) knots[(k + 1) * knot_stride + j] = knots[k * knot_stride + j] + width;
    }
  }
}

// slope = min + log(1 + e^{p + c}) with c such that p = 0 gives slope 1: e^c = e^{1 - min} - 1.
template <class T>
RELGRAD_INLINE void prepare_body(TileShape shape, const T* widths, const T* heights,
                                 const T* slopes, T bound, T* knots, T* chain) {
  constexpr T shift = T(0.53974241723695220);  // log(e^{0.999} - 1)
  const Count bins_size = static_cast<Count>(shape.bins) * lanes_max;
  knots_from_softmax(shape, widths, bound, chain, knots);
  knots_from_softmax(shape, heights, bound, chain + bins_size, knots + lanes_max);
  T* sigmoid = chain + 2 * bins_size;
  alignas(64) Lane<T> raw;
  for (int k = 0; k <= shape.bins; ++k) {
    load(slopes + k * shape.stride, shape.lanes, raw);
    T* slope = knots + static_cast<Count>(k) * 3 * lanes_max + 2 * lanes_max;
#pragma omp simd
    for (int j = 0; j < lanes_max; ++j) {
      const T z = raw[j] + shift;
      const T e = simd::exp(-simd::absolute(z));
      slope[j] = T(spline_min_slope) + (simd::larger(z, T(0)) + simd::log1p(e));
      sigmoid[k * lanes_max + j] = (z < T(0) ? e : T(1)) / (T(1) + e);
    }
  }
}

/// Per lane: the derivative by the width of every bin, which is that bin's own plus the shift of
/// every later bin; the same of heights; the derivative by the slope of every knot.
template <class S>
RELGRAD_INLINE void condense_body(TileShape shape, const S* sums, S* condensed) {
  const int bins = shape.bins;
  for (int j = 0; j < shape.lanes; ++j) {
    const S* own = sums + static_cast<Count>(j) * bins * spline_sums;
    S* widths = condensed + static_cast<Count>(j) * (3 * bins + 1);
    S* heights = widths + bins;
    S* slopes = heights + bins;
    S shifted_x = 0;
    S shifted_y = 0;
    for (int k = bins - 1; k >= 0; --k) {
      const S* bin = own + k * spline_sums;
      widths[k] += bin[1] + shifted_x;
      heights[k] += bin[3] + shifted_y;
      slopes[k] += bin[4];
      slopes[k + 1] += bin[5];
      shifted_x += bin[0];
      shifted_y += bin[2];
    }
  }
}

/// gradient[k] += 2 bound (1 - K min) share_k (g_k - sum_i share_i g_i)
template <class T>
RELGRAD_INLINE void chain_softmax(TileShape shape, const T* by_width, const T* share, T bound,
                                  T* gradient) {
  const T scale = T(2) * bound * (T(1) - T(spline_min_share) * static_cast<T>(shape.bins));
  for (int j = 0; j < shape.lanes; ++j) {
    const T* g = by_width + static_cast<Count>(j) * (3 * shape.bins + 1);
    T mean = 0;
    for (int k = 0; k < shape.bins; ++k) mean += share[k * lanes_max + j] * g[k];
    for (int k = 0; k < shape.bins; ++k) {
      gradient[k * shape.stride + j] += scale * share[k * lanes_max + j] * (g[k] - mean);
    }
  }
}

template <class T>
RELGRAD_INLINE void chain_body(TileShape shape, const T* condensed, const T* chain, T bound,
                               T* widths_gradient, T* heights_gradient, T* slopes_gradient) {
  const Count bins_size = static_cast<Count>(shape.bins) * lanes_max;
  chain_softmax(shape, condensed, chain, bound, widths_gradient);
  chain_softmax(shape, condensed + shape.bins, chain + bins_size, bound, heights_gradient);
  const T* sigmoid = chain + 2 * bins_size;
  for (int k = 0; k <= shape.bins; ++k) {
    for (int j = 0; j < shape.lanes; ++j) {
      const T* by_slope = condensed + static_cast<Count>(j) * (3 * shape.bins + 1) + 2 * shape.bins;
      slopes_gradient[k * shape.stride + j] += by_slope[k] * sigmoid[k * lanes_max + j];
    }
  }
}

}  // namespace

#define RELGRAD_DEFINE_SPLINE(T)                                                                  \
  RELGRAD_SIMD_CLONES void spline_prepare(TileShape shape, const T* widths, const T* heights,     \
                                          const T* slopes, T bound, T* knots, T* chain) {         \
    prepare_body<T>(shape, widths, heights, slopes, bound, knots, chain);                         \
  }                                                                                               \
  RELGRAD_SIMD_CLONES void spline_forward(TileShape shape, const T* knots, const T* input,        \
                                          T* output, Count samples, double* log_abs_det) {        \
    forward_body<T>(shape, knots, input, output, samples, log_abs_det);                           \
  }                                                                                               \
  RELGRAD_SIMD_CLONES void spline_backward(TileShape shape, const T* knots, const T* input,       \
                                           const T* delta_out, T* delta_in, Count samples,        \
                                           T* sums) {                                             \
    backward_body<T>(shape, knots, input, delta_out, delta_in, samples, PlainAdder<T>{}, sums);   \
  }                                                                                               \
  RELGRAD_SIMD_CLONES void spline_backward_exact(TileShape shape, const T* knots, const T* input, \
                                                 const T* delta_out, T* delta_in, Count samples,  \
                                                 const ExactGrid& grid, double* sums) {           \
    backward_body<T>(shape, knots, input, delta_out, delta_in, samples,                           \
                     ExactAdder<T>{grid.limit(), grid.magic()}, sums);                            \
  }                                                                                               \
  RELGRAD_SIMD_CLONES void spline_chain(TileShape shape, const T* condensed, const T* chain,      \
                                        T bound, T* widths_gradient, T* heights_gradient,         \
                                        T* slopes_gradient) {                                     \
    chain_body<T>(shape, condensed, chain, bound, widths_gradient, heights_gradient,              \
                  slopes_gradient);                                                               \
  }
RELGRAD_DEFINE_SPLINE(float)
RELGRAD_DEFINE_SPLINE(double)
#undef RELGRAD_DEFINE_SPLINE

void spline_condense(TileShape shape, const float* sums, float* condensed) {
  condense_body(shape, sums, condensed);
}
void spline_condense(TileShape shape, const double* sums, double* condensed) {
  condense_body(shape, sums, condensed);
}

}  // namespace relgrad::kernels
