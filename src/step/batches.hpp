#pragma once
/// Global batches of an epoch, this rank's part, transformed and ready for the net; the next one is
/// prepared by a thread while the current one is used, where a core is free.
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "relgrad/core/label.hpp"
#include "relgrad/data/dataset.hpp"
#include "relgrad/transform/transform.hpp"

namespace relgrad {

/// Where a run is in its data: nothing but the number of samples consumed, over all epochs.
struct DataPosition {
  std::uint64_t samples_consumed = 0;
  std::uint64_t rows = 0;  // of the training split
  std::uint32_t epoch() const { return static_cast<std::uint32_t>(samples_consumed / rows); }
  std::uint64_t in_epoch() const { return samples_consumed % rows; }
  /// Samples of the coming global batch: short at the end of an epoch, never across it.
  std::uint64_t batch(std::uint64_t batch_size) const;
};

/// Rows of the training split that `rank` of `world_size` takes of the global batch at `position`,
/// in order; those of all ranks, one after another, are the batch. What training consumes and what
/// `relgrad audit-order` prints.
void rows_of_part(const DataPosition& position, std::uint64_t seed, std::int64_t batch_size,
                  int rank, int world_size, std::vector<std::uint64_t>& rows);

/// One rank's part of one global batch.
template <class T>
struct PreparedBatch {
  Matrix<T> x;                    // D x capacity; the first `count` columns are the samples
  std::vector<double> log_slope;  // of the transform, nats, per sample
  Index count = 0;
  std::int64_t global_count = 0;
  std::vector<Label> labels;  // `count` of them, or none
};

template <class T>
class BatchSource {
 public:
  /// @param prefetch  prepare the next batch on a thread of its own
  /// @param labels    of all rows, or none
  BatchSource(const SplitReader& train, const Transform<T>& transform, std::uint64_t seed,
              std::int64_t batch_size, int rank, int world_size, bool prefetch,
              std::vector<Label> labels = {});
  ~BatchSource();
  BatchSource(const BatchSource&) = delete;
  BatchSource& operator=(const BatchSource&) = delete;

  /// The global batch at `position`, this rank's part of it. Valid until the next call.
  /// @throws DataError when the data set cannot be read.
  const PreparedBatch<T>& at(const DataPosition& position);
  /// Samples of this rank in a full global batch, at most.
  Index capacity() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace relgrad
