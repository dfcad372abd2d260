#pragma once
/// A spectral layer with random matrices, and its linear map written out as one D x D matrix.
#include <cmath>
#include <numbers>
#include <vector>

#include "spectral/spectral.hpp"
#include "support/central_differences.hpp"

namespace relgrad::test {

/// Orthonormal DCT-II of n numbers by its definition, n x n.
inline Matrix<double> cosine_matrix(Index n) {
  Matrix<double> m(n, n);
  for (Index k = 0; k < n; ++k) {
    for (Index j = 0; j < n; ++j) {
      const double angle =
          std::numbers::pi * static_cast<double>(k) * (static_cast<double>(j) + 0.5) / double(n);
      m(k, j) = std::sqrt((k == 0 ? 1.0 : 2.0) / double(n)) * std::cos(angle);
    }
  }
  return m;
}

/// The same of C planes of H x W, D x D.
inline Matrix<double> planes_cosine_matrix(Index channels, Index height, Index width) {
  const Matrix<double> rows = cosine_matrix(height);
  const Matrix<double> columns = cosine_matrix(width);
  const Index plane = height * width;
  Matrix<double> m = Matrix<double>::Zero(channels * plane, channels * plane);
  for (Index c = 0; c < channels; ++c) {
    for (Index to = 0; to < plane; ++to) {
      for (Index from = 0; from < plane; ++from) {
        m(c * plane + to, c * plane + from) =
            rows(to / width, from / width) * columns(to % width, from % width);
      }
    }
  }
  return m;
}

template <class T>
struct SpectralCase {
  SpectralCase(Index channels_, Index height, Index width, SpectralOutput output,
               std::uint64_t seed = 3)
      : channels(channels_),
        frequencies(height * width),
        cosine(planes_cosine_matrix(channels_, height, width)),
        map(channels_, height, width, output) {
    // near twice the identity, so that no K_f is near a singular one
    const Matrix<double> draws = normal_matrix<double>(
        static_cast<Index>(map.weight_size() + map.bias_size()), 1, seed, 0.4);
    flat.resize(map.weight_size() + map.bias_size());
    for (std::size_t i = 0; i < flat.size(); ++i) flat[i] = static_cast<T>(draws(Index(i), 0));
    for (Index c = 0; c < channels; ++c) {
      for (Index f = 0; f < frequencies; ++f) {
        flat[static_cast<std::size_t>((c * channels + c) * frequencies + f)] += T(2);
      }
    }
  }
  template <class U, class Flat>
  SpectralSpans<U> spans(Flat& numbers) const {
    return {std::span<U>(numbers).first(map.weight_size()),
            std::span<U>(numbers).subspan(map.weight_size())};
  }
  SpectralSpans<const T> parameters() const { return spans<const T>(flat); }
  Matrix<double> block(Index f) const {
    Matrix<double> k(channels, channels);
    for (Index c = 0; c < channels; ++c) {
      for (Index d = 0; d < channels; ++d) {
        k(c, d) = double(flat[static_cast<std::size_t>((c * channels + d) * frequencies + f)]);
      }
    }
    return k;
  }
  /// All K_f in one D x D matrix.
  Matrix<double> blocks() const {
    Matrix<double> m = Matrix<double>::Zero(map.size(), map.size());
    for (Index f = 0; f < frequencies; ++f) {
      const Matrix<double> k = block(f);
      for (Index c = 0; c < channels; ++c) {
        for (Index d = 0; d < channels; ++d) m(c * frequencies + f, d * frequencies + f) = k(c, d);
      }
    }
    return m;
  }
  Vector<double> bias() const {
    return ConstVectorMap<T>(flat.data() + map.weight_size(), map.size()).template cast<double>();
  }

  Index channels;
  Index frequencies;
  Matrix<double> cosine;
  SpectralMap<T> map;
  std::vector<T> flat;
};

}  // namespace relgrad::test
