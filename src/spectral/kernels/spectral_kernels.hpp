#pragma once
/// The loops of a spectral layer over a tile of `spectral_lanes` frequencies, whose C x C matrices
/// lie together: a tile stays near the first-level cache while all samples pass, and every inner
/// loop has a fixed length.
#include <cstddef>

#include "relgrad/core/exact_sum.hpp"

namespace relgrad::kernels {

using Count = std::ptrdiff_t;

inline constexpr Count spectral_lanes = 32;

/// Where a tile's frequencies lie in a batch: number [sample * C * F + channel * F + lane].
struct SpectralTile {
  Count channels;     // C
  Count frequencies;  // F: H W, of the whole layer
  Count lanes;        // <= spectral_lanes
  Count samples;
};

/// Numbers that every call works in.
constexpr Count spectral_room_size(Count channels) { return 3 * channels * spectral_lanes; }

// weight: [c][d][lane], bias: [c][lane], packed. All pointers into batches point to the tile's
// first frequency of the first channel and sample.
#define RELGRAD_DECLARE_SPECTRAL(T)                                                             \
  /* y = K z + b; y may be z */                                                                 \
  void spectral_forward(const SpectralTile& tile, const T* weight, const T* bias, const T* z,   \
                        T* y, T* room);                                                         \
  /* delta <- K^T delta, after sum_weight += delta p^T and sum_bias += delta q (packed), where  \
     p = K^T y, q = 1 + y^T b */                                                                \
  void spectral_backward(const SpectralTile& tile, const T* weight, const T* bias, const T* y,  \
                         T* delta, T* room, T* sum_weight, T* sum_bias);                        \
  void spectral_backward_exact(const SpectralTile& tile, const T* weight, const T* bias,        \
                               const T* y, T* delta, T* room, const ExactGrid& grid,            \
                               double* sum_weight, double* sum_bias);                           \
  /* the same with p = z, q = 1 */                                                              \
  void spectral_backward_plain(const SpectralTile& tile, const T* weight, const T* z, T* delta, \
                               T* room, T* sum_weight, T* sum_bias);                            \
  /* sum_products[c][d][lane] += z_c z_d for d <= c, sum[c][lane] += z_c */                     \
  void spectral_moments(const SpectralTile& tile, const T* z, double* sum_products, double* sum);
RELGRAD_DECLARE_SPECTRAL(float)
RELGRAD_DECLARE_SPECTRAL(double)
#undef RELGRAD_DECLARE_SPECTRAL

}  // namespace relgrad::kernels
