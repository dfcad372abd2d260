#pragma once
/// Fixed maps between data and net input whose log-slope counts in the likelihood (MATH section 4):
///   8-bit data: dequantize, then logit | marginal | standardize; real data: standardize | marginal
///   | none.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "relgrad/core/random.hpp"
#include "relgrad/core/types.hpp"
#include "relgrad/data/raw_batch.hpp"

namespace relgrad {

enum class TransformKind { none, logit, standardize, marginal };
TransformKind parse_transform_kind(std::string_view name);  // @throws UsageError
std::string_view name_of(TransformKind kind);

/// A table the transform was fitted to: named, double precision, rows x cols column-major; written
/// to and read from checkpoints ("transform/cdf_lower", ...).
struct TransformTable {
  std::string name;
  Index rows;
  Index cols;
  std::vector<double> values;
};

/// The key of the dequantization noise of a pass: uniform(seed, purpose, epoch, sample id).
struct NoiseKey {
  std::uint64_t seed;
  Purpose purpose;
  std::uint32_t epoch;  // epoch of training; number of the draw in evaluation
};

/// Sums over samples from which a transform is fitted; sums of ranks are added before `fit`.
/// 8-bit: counts[level + 256 * d]. Real: the caller gathers values itself (see fit_real).
struct LevelCounts {
  Index dimension = 0;
  std::vector<std::int64_t> counts;  // 256 x D
  void add(const RawBatch& batch);
};

template <class T>
class Transform {
 public:
  virtual ~Transform() = default;
  virtual TransformKind kind() const = 0;
  virtual Index dimension() const = 0;
  /// x = transform(raw + noise), D x B. log_slope[n] += log|det dx/dv| in nats with v in data units
  /// (8-bit: v in [0, 256), so that log p_net(x) + log_slope is log p_pixel).
  virtual void forward(const RawBatch& batch, const NoiseKey& noise, MatrixMap<T> x,
                       std::span<double> log_slope) const = 0;
  /// values = transform^{-1}(x), D x B, in data units (8-bit: in [0, 256), not yet floored).
  virtual void inverse(const ConstMatrixMap<T>& x, MatrixMap<double> values) const = 0;
  /// The tables that a checkpoint must keep. Empty for logit and none.
  virtual std::vector<TransformTable> tables() const { return {}; }
};

struct TransformOptions {
  TransformKind kind = TransformKind::logit;
  double logit_a = 1e-6;               // (0, 0.5)
  double marginal_pseudo_count = 0.1;  // added to each of the 256 levels, per dimension (> 0)
};

/// Log-slope of v -> logit(a + (1 - 2a) (v + noise) / 256), summed over dimensions, per sample;
/// it turns pixel nats into logit-space nats.
void add_logit_log_slope(const RawBatch& batch, const NoiseKey& noise, double logit_a,
                         std::span<double> log_slope);

/// 8-bit data. @throws DataError if `counts` holds no sample.
template <class T>
std::unique_ptr<Transform<T>> fit_transform(const TransformOptions& options,
                                            const LevelCounts& counts);
/// Real data: `sample` is D x N (all or a large, rank-independent subset of the training split).
template <class T>
std::unique_ptr<Transform<T>> fit_transform(const TransformOptions& options,
                                            const Matrix<double>& sample);
/// From a checkpoint: options and tables as saved. @throws CheckpointError on a missing table.
template <class T>
std::unique_ptr<Transform<T>> restore_transform(const TransformOptions& options, ElementType type,
                                                Index dimension,
                                                const std::vector<TransformTable>& tables);

}  // namespace relgrad
