#pragma once
/// The spectral layer: a C x C matrix at every frequency of the cosine transform,
///   Z = DCT-II of every channel of x (orthonormal),   Y_f = K_f Z_f + b_f
/// and, where the layer turns back, y = inverse DCT of Y; else y = Y. The transform is a rotation,
/// so
///   log|det| = sum_f log|det K_f|
/// Its gradients are those of a dense layer at every frequency, with Delta_f = dL/dY_f:
///   plain     dK_f = sum Delta_f Z_f^T + N K_f^{-T}
///             db_f = sum Delta_f
///   relative  dK_f = sum Delta_f (K_f^T Y_f)^T + N K_f
///             db_f = sum Delta_f (1 + Y_f^T b_f) + N b_f
/// Both are exact. The relative one needs no inverse; it is the plain one times M^T M from the
/// right, M = [K_f b_f; 0 1] (Gresele et al. 2020, arXiv 2006.15090). The terms with N come from
/// log|det|, alike for each of the N samples; the caller adds them.
#include <span>
#include <vector>

#include "linalg/fourier.hpp"
#include "relgrad/core/exact_sum.hpp"
#include "relgrad/core/types.hpp"

namespace relgrad {

/// Where a spectral layer's output lies.
enum class SpectralOutput {
  frequencies,  // y = Y: frequency (u, v) of channel c where position (u, v) was
  positions     // y is transformed back
};

/// One layer's matrices and offsets, or their gradients; frequencies innermost, so that loops over
/// them are vector code. D = C H W.
template <class T>
struct SpectralSpans {
  std::span<T> weight;  // H W x C^2: column C c + d holds element (c, d) of every K_f
  std::span<T> bias;    // D: b of channel c at every frequency, channels outermost
};

/// Cost per sample: two DCTs and 2 D C flops forward, about 6 D C more backward. What a sample gets
/// depends neither on the samples beside it nor on the number of threads.
template <class T>
class SpectralMap {
 public:
  /// @throws UsageError unless all sizes are positive.
  SpectralMap(Index channels, Index height, Index width, SpectralOutput output);

  Index size() const { return channels_ * frequencies_; }
  std::size_t weight_size() const {
    return static_cast<std::size_t>(channels_ * channels_ * frequencies_);
  }
  std::size_t bias_size() const { return static_cast<std::size_t>(size()); }
  /// Numbers per sample that forward() keeps for the relative gradient.
  Index kept_size() const { return output_ == SpectralOutput::positions ? size() : 0; }

  /// Every K_f the identity, every b_f zero.
  void initialize(const SpectralSpans<T>& parameters) const;
  /// y of the columns of x, both D x B; y may be x's memory. `kept`: B * kept_size() numbers, or
  /// empty if there will be no backward pass.
  void forward(const SpectralSpans<const T>& parameters, const ConstMatrixMap<T>& x, MatrixMap<T> y,
               std::span<T> kept) const;
  /// Undoes forward(), with inverses by LU in double precision. Allocates.
  /// @throws DivergedError naming `where` and the frequency if a K_f is singular or not finite.
  void inverse(const char* where, const SpectralSpans<const T>& parameters,
               const ConstMatrixMap<T>& y, MatrixMap<T> x) const;
  /// log|det| of every sample, nats. Cost: 2/3 D C^2. @throws DivergedError as inverse().
  double log_abs_det(const char* where, std::span<const T> weight) const;

  /// The sums of the relative gradient: from delta_y = dL/dy writes delta_x = dL/dx (may be
  /// delta_y's memory) and ADDS sums over samples. The caller adds N times each parameter to its
  /// own gradient. y and `kept` are those of forward(), with the same parameters.
  void backward(const SpectralSpans<const T>& parameters, const ConstMatrixMap<T>& y,
                std::span<const T> kept, const ConstMatrixMap<T>& delta_y, MatrixMap<T> delta_x,
                const SpectralSpans<T>& gradients) const;
  /// The same with sums that come out the same however samples are split over ranks.
  void backward_exact(const SpectralSpans<const T>& parameters, const ConstMatrixMap<T>& y,
                      std::span<const T> kept, const ConstMatrixMap<T>& delta_y,
                      MatrixMap<T> delta_x, const ExactGrid& grid,
                      const SpectralSpans<double>& sums) const;
  /// The sums of the plain gradient, which the relative one is tested against. The caller adds N
  /// times inverse_transposed() to the weight's. x is forward()'s input. Allocates.
  void backward_plain(const SpectralSpans<const T>& parameters, const ConstMatrixMap<T>& x,
                      const ConstMatrixMap<T>& delta_y, MatrixMap<T> delta_x,
                      const SpectralSpans<T>& gradients) const;
  /// K_f^{-T} of every frequency, in the layout of the weight, by LU in double precision.
  /// @throws DivergedError as inverse().
  std::vector<T> inverse_transposed(const char* where, std::span<const T> weight) const;

 private:
  void check(const char* where, const SpectralSpans<const T>& parameters,
             const ConstMatrixMap<T>& from, const MatrixMap<T>& to) const;
  Matrix<double> block(std::span<const T> weight, Index frequency) const;
  std::vector<T> inverse_blocks(const char* where, std::span<const T> weight,
                                bool transposed) const;
  template <class TileBackward>
  void backward_through(const ConstMatrixMap<T>& delta_y, MatrixMap<T> delta_x,
                        const TileBackward& tile_backward) const;
  const T* spectrum_of(const ConstMatrixMap<T>& y, std::span<const T> kept) const;

  Index channels_;
  Index height_;
  Index width_;
  Index frequencies_;  // H W
  SpectralOutput output_;
  CosineTransform<T> transform_;
};

}  // namespace relgrad
