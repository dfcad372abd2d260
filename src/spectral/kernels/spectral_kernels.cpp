#include "spectral/kernels/spectral_kernels.hpp"

#include "core/simd_math.hpp"

namespace relgrad::kernels {

namespace {

constexpr Count all = spectral_lanes;

template <class T>
RELGRAD_INLINE void load(const T* from, Count lanes, T* to) {
  if (lanes == all) {
#pragma omp simd
    for (Count f = 0; f < all; ++f) to[f] = from[f];
    return;
  }
  for (Count f = 0; f < lanes; ++f) to[f] = from[f];
  for (Count f = lanes; f < all; ++f) to[f] = T(0);
}

template <class T>
RELGRAD_INLINE void store(const T* from, Count lanes, T* to) {
  if (lanes == all) {
#pragma omp simd
    for (Count f = 0; f < all; ++f) to[f] = from[f];
    return;
  }
  for (Count f = 0; f < lanes; ++f) to[f] = from[f];
}

/// The channels of one sample, at this tile's frequencies.
template <class T>
RELGRAD_INLINE void load_sample(const SpectralTile& tile, const T* from, T* to) {
  for (Count c = 0; c < tile.channels; ++c)
    load(from + c * tile.frequencies, tile.lanes, to + c * all);
}

/// to = start + sum_k a[k * stride] b[k] over `count` terms
template <class T>
RELGRAD_INLINE void sum_of_products(const T* start, const T* a, Count stride, const T* b,
                                    Count count, T* to) {
  alignas(64) T sum[all];
#pragma omp simd
  for (Count f = 0; f < all; ++f) sum[f] = start == nullptr ? T(0) : start[f];
  for (Count k = 0; k < count; ++k) {
#pragma omp simd
    for (Count f = 0; f < all; ++f) sum[f] += a[k * stride + f] * b[k * all + f];
  }
#pragma omp simd
  for (Count f = 0; f < all; ++f) to[f] = sum[f];
}

template <class T>
RELGRAD_INLINE void forward_body(const SpectralTile& tile, const T* weight, const T* bias,
                                 const T* z, T* y, T* room) {
  const Count c_all = tile.channels * all;
  alignas(64) T result[all];
  for (Count n = 0; n < tile.samples; ++n) {
    const Count at = n * tile.channels * tile.frequencies;
    load_sample(tile, z + at, room);
    for (Count c = 0; c < tile.channels; ++c) {
      sum_of_products(bias + c * all, weight + c * c_all, all, room, tile.channels, result);
      store(result, tile.lanes, y + at + c * tile.frequencies);
    }
  }
}

template <class T>
struct PlainAdder {
  using Sum = T;
  RELGRAD_INLINE void operator()(const T* delta, const T* factor, T* sum) const {
#pragma omp simd
    for (Count f = 0; f < all; ++f) sum[f] += delta[f] * factor[f];
  }
};

/// Every term is rounded to the grid first: as ExactGrid::round.
template <class T>
struct ExactAdder {
  using Sum = double;
  double limit;
  double magic;
  RELGRAD_INLINE void operator()(const T* delta, const T* factor, double* sum) const {
#pragma omp simd
    for (Count f = 0; f < all; ++f) {
      const auto term = static_cast<double>(delta[f] * factor[f]);
      const double held = term > limit ? limit : (term < -limit ? -limit : term);
      sum[f] += (held + magic) - magic;
    }
  }
};

/// One sample's terms, then delta of the input. `factors`: p of each channel, then q.
template <class T, class Adder>
RELGRAD_INLINE void add_and_return(const SpectralTile& tile, const T* weight, const T* delta,
                                   const T* factors, const T* one, T* to, const Adder& add,
                                   typename Adder::Sum* sum_weight, typename Adder::Sum* sum_bias) {
  const Count channels = tile.channels;
  for (Count c = 0; c < channels; ++c) {
    for (Count d = 0; d < channels; ++d) {
      add(delta + c * all, factors + d * all, sum_weight + (c * channels + d) * all);
    }
    add(delta + c * all, one, sum_bias + c * all);
  }
  alignas(64) T result[all];
  for (Count d = 0; d < channels; ++d) {
    sum_of_products<T>(nullptr, weight + d * all, channels * all, delta, channels, result);
    store(result, tile.lanes, to + d * tile.frequencies);
  }
}

template <class T, class Adder>
RELGRAD_INLINE void backward_body(const SpectralTile& tile, const T* weight, const T* bias,
                                  const T* y, T* delta, T* room, const Adder& add,
                                  typename Adder::Sum* sum_weight, typename Adder::Sum* sum_bias) {
  const Count channels = tile.channels;
  T* deltas = room;
  T* outputs = deltas + channels * all;
  T* factors = outputs + channels * all;
  alignas(64) T one[all];
  alignas(64) T q[all];
  for (T& value : one) value = T(1);
  for (Count n = 0; n < tile.samples; ++n) {
    const Count at = n * channels * tile.frequencies;
    load_sample(tile, delta + at, deltas);
    load_sample(tile, y + at, outputs);
    for (Count d = 0; d < channels; ++d) {
      sum_of_products<T>(nullptr, weight + d * all, channels * all, outputs, channels,
                         factors + d * all);
    }
    sum_of_products(one, bias, all, outputs, channels, q);
    add_and_return(tile, weight, deltas, factors, q, delta + at, add, sum_weight, sum_bias);
  }
}

template <class T>
RELGRAD_INLINE void backward_plain_body(const SpectralTile& tile, const T* weight, const T* z,
                                        T* delta, T* room, T* sum_weight, T* sum_bias) {
  T* deltas = room;
  T* inputs = deltas + tile.channels * all;
  alignas(64) T one[all];
  for (T& value : one) value = T(1);
  for (Count n = 0; n < tile.samples; ++n) {
    const Count at = n * tile.channels * tile.frequencies;
    load_sample(tile, delta + at, deltas);
    load_sample(tile, z + at, inputs);
    add_and_return(tile, weight, deltas, inputs, one, delta + at, PlainAdder<T>{}, sum_weight,
                   sum_bias);
  }
}

template <class T>
RELGRAD_INLINE void moments_body(const SpectralTile& tile, const T* z, double* sum_products,
                                 double* sum) {
  for (Count n = 0; n < tile.samples; ++n, z += tile.channels * tile.frequencies) {
    for (Count c = 0; c < tile.channels; ++c) {
      const T* z_c = z + c * tile.frequencies;
      double* sum_c = sum + c * all;
#pragma omp simd
      for (Count f = 0; f < tile.lanes; ++f) sum_c[f] += static_cast<double>(z_c[f]);
      for (Count d = 0; d <= c; ++d) {
        const T* z_d = z + d * tile.frequencies;
        double* products = sum_products + (c * tile.channels + d) * all;
#pragma omp simd
        for (Count f = 0; f < tile.lanes; ++f) {
          products[f] += static_cast<double>(z_c[f]) * static_cast<double>(z_d[f]);
        }
      }
    }
  }
}

}  // namespace

#define RELGRAD_DEFINE_SPECTRAL(T)                                                               \
  RELGRAD_SIMD_CLONES void spectral_forward(const SpectralTile& tile, const T* weight,           \
                                            const T* bias, const T* z, T* y, T* room) {          \
    forward_body(tile, weight, bias, z, y, room);                                                \
  }                                                                                              \
  RELGRAD_SIMD_CLONES void spectral_backward(const SpectralTile& tile, const T* weight,          \
                                             const T* bias, const T* y, T* delta, T* room,       \
                                             T* sum_weight, T* sum_bias) {                       \
    backward_body(tile, weight, bias, y, delta, room, PlainAdder<T>{}, sum_weight, sum_bias);    \
  }                                                                                              \
  RELGRAD_SIMD_CLONES void spectral_backward_exact(                                              \
      const SpectralTile& tile, const T* weight, const T* bias, const T* y, T* delta, T* room,   \
      const ExactGrid& grid, double* sum_weight, double* sum_bias) {                             \
    backward_body(tile, weight, bias, y, delta, room, ExactAdder<T>{grid.limit(), grid.magic()}, \
                  sum_weight, sum_bias);                                                         \
  }                                                                                              \
  RELGRAD_SIMD_CLONES void spectral_backward_plain(const SpectralTile& tile, const T* weight,    \
                                                   const T* z, T* delta, T* room, T* sum_weight, \
                                                   T* sum_bias) {                                \
    backward_plain_body(tile, weight, z, delta, room, sum_weight, sum_bias);                     \
  }                                                                                              \
  RELGRAD_SIMD_CLONES void spectral_moments(const SpectralTile& tile, const T* z,                \
                                            double* sum_products, double* sum) {                 \
    moments_body(tile, z, sum_products, sum);                                                    \
  }
RELGRAD_DEFINE_SPECTRAL(float)
RELGRAD_DEFINE_SPECTRAL(double)
#undef RELGRAD_DEFINE_SPECTRAL

}  // namespace relgrad::kernels
