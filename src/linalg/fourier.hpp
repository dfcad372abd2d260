#pragma once
/// Fourier and cosine transforms of planes: H x W real numbers, rows one after the other, W
/// contiguous. A batch of samples of C channels is C B planes in memory order. What a plane gets
/// depends neither on the planes beside it nor on its address or the number of threads.
#include <complex>
#include <memory>

#include "relgrad/core/types.hpp"

namespace relgrad {

/// Two-dimensional orthonormal DCT-II and its inverse, the DCT-III: rotations of the numbers of a
/// plane, so log|det| is 0 and the inverse is the transpose. Each axis of length n, frequency k:
///   y_k = c_k sum_j x_j cos(pi k (j + 1/2) / n),   c_0 = sqrt(1 / n), c_k = sqrt(2 / n)
/// Cost: O(HW log HW) per plane.
template <class T>
class CosineTransform {
 public:
  /// @throws UsageError unless height and width are positive.
  CosineTransform(Index height, Index width);
  ~CosineTransform();
  CosineTransform(CosineTransform&&) noexcept;
  CosineTransform& operator=(CosineTransform&&) noexcept;

  /// Transforms `planes` planes. `output` may be `input`.
  void forward(const T* input, T* output, Index planes) const;
  /// Undoes forward().
  void inverse(const T* input, T* output, Index planes) const;

 private:
  struct Plans;
  std::unique_ptr<const Plans> plans_;
};

/// Two-dimensional discrete Fourier transform of real planes:
///   Y(u, v) = sum_{i, j} x(i, j) exp(-2 pi i (u i / H + v j / W))
/// for all u in [0, H) and v in [0, W/2], v contiguous; the other half is the complex conjugate,
/// Y(-u, -v). Not normalised. Cost: O(HW log HW) per plane.
template <class T>
class FourierTransform {
 public:
  /// @throws UsageError unless height and width are positive.
  FourierTransform(Index height, Index width);
  ~FourierTransform();
  FourierTransform(FourierTransform&&) noexcept;
  FourierTransform& operator=(FourierTransform&&) noexcept;

  /// Frequencies of one plane: H (W/2 + 1).
  Index frequencies() const;
  /// Of how many of the H W frequencies number `f` stands: 1, or 2 where its conjugate is left out.
  Index multiplicity(Index f) const;
  void forward(const T* planes, std::complex<T>* spectra, Index count) const;
  /// Undoes forward(), including the division by HW.
  void inverse(const std::complex<T>* spectra, T* planes, Index count) const;

 private:
  struct Plans;
  std::unique_ptr<const Plans> plans_;
};

}  // namespace relgrad
