#pragma once
/// The transforms there are, one .cpp each; transform.cpp chooses among them.
#include "relgrad/transform/transform.hpp"

namespace relgrad {

template <class T>
std::unique_ptr<Transform<T>> make_logit(Index dimension, double a);

/// x = (v - mean) / deviation, v dequantized for 8-bit data; zeros and ones make kind `none`.
template <class T>
std::unique_ptr<Transform<T>> make_standardize(TransformKind kind, ElementType type,
                                               std::vector<double> mean,
                                               std::vector<double> deviation);
struct MeanAndDeviation {
  std::vector<double> mean;
  std::vector<double> deviation;
};
MeanAndDeviation moments_of(const LevelCounts& counts);
MeanAndDeviation moments_of(const Matrix<double>& sample);

/// 8-bit marginal from counts[level + 256 * d].
template <class T>
std::unique_ptr<Transform<T>> make_level_marginal(std::vector<double> counts, Index dimension,
                                                  double pseudo_count);

/// Real marginal: per dimension at most `quantile_knots` knots (value, normal quantile, slope).
inline constexpr Index quantile_knots = 256;
struct QuantileTables {
  std::vector<double> count;   // D: knots in use
  std::vector<double> value;   // 256 x D
  std::vector<double> normal;  // 256 x D
  std::vector<double> slope;   // 256 x D
};
QuantileTables fit_quantiles(const Matrix<double>& sample);
template <class T>
std::unique_ptr<Transform<T>> make_quantile_marginal(QuantileTables tables);

/// @throws DataError or ShapeError where the batch does not fit.
void check_transform_batch(std::string_view where, const RawBatch& batch, ElementType type,
                           Index dimension, Index rows, Index cols);

/// Uniform noise of one sample of a pass; the memory is this thread's, until its next call.
template <class T>
std::span<const T> dequantization_noise(const NoiseKey& noise, std::uint64_t sample_id,
                                        Index dimension);

/// Says in the log that `constant` of `all` dimensions have one value; nothing for none.
void warn_of_constant_dimensions(std::string_view transform, Index constant, Index all);

/// Values of 8-bit data are held in [0, 256).
double hold_in_levels(double value);

}  // namespace relgrad
