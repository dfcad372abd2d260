#pragma once
/// The matrix of a convolution written out: what every fast way is tested against.
#include <vector>

#include "convolution/convolution.hpp"
#include "support/central_differences.hpp"

namespace relgrad::test {

/// T, outputs x inputs: y = T x for samples as columns.
inline Matrix<double> convolution_matrix(const ConvolutionShape& shape,
                                         const std::vector<double>& weights) {
  Matrix<double> result = Matrix<double>::Zero(shape.outputs(), shape.inputs());
  const Index k = shape.taps;
  const Index r = (k - 1) / 2;
  const auto wrapped = [](Index at, Index size) { return ((at % size) + size) % size; };
  for (Index o = 0; o < shape.channels_out; ++o) {
    for (Index c = 0; c < shape.channels_in; ++c) {
      for (Index h = 0; h < shape.height; ++h) {
        for (Index w = 0; w < shape.width; ++w) {
          for (Index i = 0; i < k; ++i) {
            for (Index j = 0; j < k; ++j) {
              Index from_h = h + i - r;
              Index from_w = w + j - r;
              if (shape.padding == Padding::circular) {
                from_h = wrapped(from_h, shape.height);
                from_w = wrapped(from_w, shape.width);
              }
              if (from_h < 0 || from_h >= shape.height || from_w < 0 || from_w >= shape.width) {
                continue;
              }
              result((o * shape.height + h) * shape.width + w,
                     (c * shape.height + from_h) * shape.width + from_w) +=
                  weights[static_cast<std::size_t>(((o * shape.channels_in + c) * k + i) * k + j)];
            }
          }
        }
      }
    }
  }
  return result;
}

/// sum(T o G), G any outputs x inputs matrix, is linear in the weights: its derivative by each of
/// them.
inline std::vector<double> sums_along_taps(const ConvolutionShape& shape, const Matrix<double>& g) {
  std::vector<double> result(static_cast<std::size_t>(shape.weights()));
  std::vector<double> one(result.size(), 0.0);
  for (std::size_t t = 0; t < one.size(); ++t) {
    one[t] = 1.0;
    result[t] = convolution_matrix(shape, one).cwiseProduct(g).sum();
    one[t] = 0.0;
  }
  return result;
}

template <class T>
std::vector<T> normal_numbers(Index count, std::uint64_t seed, double scale = 1.0) {
  const Matrix<T> draws = normal_matrix<T>(count, 1, seed, scale);
  return {draws.data(), draws.data() + count};
}

}  // namespace relgrad::test
