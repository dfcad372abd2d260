#include "convolution/kernels/convolution_kernels.hpp"

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "core/cpu_vectors.hpp"
#include "core/simd_math.hpp"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define RELGRAD_X86_CONVOLUTIONS
#endif

namespace relgrad::kernels {

namespace {

namespace baseline {
#define RELGRAD_VECTOR_BYTES 16
#include "convolution/kernels/convolution_body.hpp"
#undef RELGRAD_VECTOR_BYTES
}  // namespace baseline

#ifdef RELGRAD_X86_CONVOLUTIONS

#pragma GCC push_options
#pragma GCC target("avx2,fma")
namespace avx2 {
#define RELGRAD_VECTOR_BYTES 32
#include "convolution/kernels/convolution_body.hpp"
#undef RELGRAD_VECTOR_BYTES
}  // namespace avx2
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,prefer-vector-width=512")
namespace avx512 {
#define RELGRAD_VECTOR_BYTES 64
#include "convolution/kernels/convolution_body.hpp"
#undef RELGRAD_VECTOR_BYTES
}  // namespace avx512
#pragma GCC pop_options

#endif

}  // namespace

template <class T>
const ConvolutionKernels<T>& convolution_kernels(VectorWidth widest) {
#ifdef RELGRAD_X86_CONVOLUTIONS
  static constexpr ConvolutionKernels<T> of_512_bits = avx512::all_kernels<T>();
  static constexpr ConvolutionKernels<T> of_256_bits = avx2::all_kernels<T>();
  if (widest >= VectorWidth::bits_512 && cpu_has_avx512()) {
    return of_512_bits;
  }
  if (widest >= VectorWidth::bits_256 && cpu_has_avx2_and_fma()) {
    return of_256_bits;
  }
#endif
  static_cast<void>(widest);
  static constexpr ConvolutionKernels<T> of_128_bits = baseline::all_kernels<T>();
  return of_128_bits;
}

template const ConvolutionKernels<float>& convolution_kernels(VectorWidth);
template const ConvolutionKernels<double>& convolution_kernels(VectorWidth);

}  // namespace relgrad::kernels
