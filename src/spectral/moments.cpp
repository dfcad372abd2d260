#include "spectral/moments.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "linalg/symmetric_eigen.hpp"
#include "relgrad/core/error.hpp"
#include "spectral/tiles.hpp"

namespace relgrad {

template <class T>
SpectralMoments<T>::SpectralMoments(Index channels, Index height, Index width)
    : channels_(channels),
      frequencies_(height * width),
      transform_(height, width),
      sums_(static_cast<std::size_t>(1 + (1 + channels) * channels * frequencies_)) {}

template <class T>
void SpectralMoments<T>::add(const ConstMatrixMap<T>& batch) {
  check_size("SpectralMoments::add", "rows of the batch", batch.rows(), channels_ * frequencies_);
  spectrum_.resize(batch.rows(), batch.cols());
  transform_.forward(batch.data(), spectrum_.data(), channels_ * batch.cols());
  sums_[0] += static_cast<double>(batch.cols());
  double* sums = sums_.data() + 1;
  double* products = sums + channels_ * frequencies_;
  const Index c = channels_;
  for_each_tile(c, frequencies_, batch.cols(), [&](const kernels::SpectralTile& tile, Index first) {
    const Index lanes = kernels::spectral_lanes;
    double* packed = thread_numbers<double, 2>(static_cast<std::size_t>((c * c + c) * lanes));
    std::fill_n(packed, (c * c + c) * lanes, 0.0);
    kernels::spectral_moments(tile, spectrum_.data() + first, packed, packed + c * c * lanes);
    add_unpacked(tile, c * c, packed, products + first);
    add_unpacked(tile, c, packed + c * c * lanes, sums + first);
  });
}

template <class T>
void SpectralMoments<T>::start(const char* where, const SpectralSpans<T>& parameters) const {
  constexpr double least_share = 1e-8;  // of the mean variance
  const Index c_all = channels_;
  const double count = sums_[0];
  const double* sums = sums_.data() + 1;
  const double* products = sums + c_all * frequencies_;
  const auto mean = [&](Index c, Index f) { return sums[c * frequencies_ + f] / count; };
  const auto covariance = [&](Index c, Index d, Index f) {
    return products[(c * c_all + d) * frequencies_ + f] / count - mean(c, f) * mean(d, f);
  };
  check_size("SpectralMoments::start", "weight",
             static_cast<std::int64_t>(parameters.weight.size()), c_all * c_all * frequencies_);
  check_size("SpectralMoments::start", "bias", static_cast<std::int64_t>(parameters.bias.size()),
             c_all * frequencies_);
  double mean_variance = 0.0;
  for (Index c = 0; c < c_all; ++c) {
    for (Index f = 0; f < frequencies_; ++f) mean_variance += covariance(c, c, f);
  }
  mean_variance /= static_cast<double>(c_all * frequencies_);
  if (!(count > 0.0) || !(mean_variance > 0.0)) {
    throw DataError(fmt::format(
        "{}: {} training images without any variance; the spectral start needs images that differ",
        where, count));
  }
  Matrix<double> s(c_all, c_all);
  for (Index f = 0; f < frequencies_; ++f) {
    double trace = 0.0;
    for (Index c = 0; c < c_all; ++c) trace += covariance(c, c, f);
    for (Index c = 0; c < c_all; ++c) {
      for (Index d = 0; d <= c; ++d) s(c, d) = count * covariance(c, d, f);
      s(c, c) += trace;  // C images more of variance trace / C in every direction
    }
    s /= count + static_cast<double>(c_all);
    const SymmetricEigen eigen = symmetric_eigen(where, s);
    const Vector<double> scales =
        eigen.values.array().max(least_share * mean_variance).rsqrt().matrix();
    const Matrix<double> k = eigen.vectors * scales.asDiagonal() * eigen.vectors.transpose();
    for (Index c = 0; c < c_all; ++c) {
      double offset = 0.0;
      for (Index d = 0; d < c_all; ++d) {
        parameters.weight[static_cast<std::size_t>((c * c_all + d) * frequencies_ + f)] =
            static_cast<T>(k(c, d));
        offset -= k(c, d) * mean(d, f);
      }
      parameters.bias[static_cast<std::size_t>(c * frequencies_ + f)] = static_cast<T>(offset);
    }
  }
}

template class SpectralMoments<float>;
template class SpectralMoments<double>;

}  // namespace relgrad
