#include "step/batches.hpp"

#include <omp.h>

#include <algorithm>
#include <future>
#include <optional>
#include <utility>

#include "relgrad/core/partition.hpp"
#include "relgrad/data/epoch_order.hpp"

namespace relgrad {

std::uint64_t DataPosition::batch(std::uint64_t batch_size) const {
  return std::min(batch_size, rows - in_epoch());
}

void rows_of_part(const DataPosition& position, std::uint64_t seed, std::int64_t batch_size,
                  int rank, int world_size, std::vector<std::uint64_t>& rows) {
  const std::uint64_t count = position.batch(static_cast<std::uint64_t>(batch_size));
  const Range part = part_of(static_cast<std::int64_t>(count), rank, world_size);
  const EpochOrder order(seed, position.epoch(), position.rows);
  rows.clear();
  for (std::int64_t i = part.begin; i < part.end; ++i) {
    rows.push_back(order.sample_at(position.in_epoch() + static_cast<std::uint64_t>(i)));
  }
}

template <class T>
struct BatchSource<T>::Impl {
  const SplitReader* train;
  const Transform<T>* transform;
  std::uint64_t seed;
  std::int64_t batch_size;
  int rank;
  int world_size;
  bool prefetch;
  std::vector<Label> labels;  // of all rows, or none

  PreparedBatch<T> current;
  PreparedBatch<T> next;
  RawBatch raw;
  std::vector<std::uint64_t> rows;
  std::optional<std::uint64_t> next_position;  // samples_consumed of the batch being prepared
  std::future<void> pending;

  void prepare(const DataPosition& position, PreparedBatch<T>& batch) {
    rows_of_part(position, seed, batch_size, rank, world_size, rows);
    train->read(rows, raw);
    batch.count = static_cast<Index>(rows.size());
    batch.global_count =
        static_cast<std::int64_t>(position.batch(static_cast<std::uint64_t>(batch_size)));
    batch.labels.clear();
    for (std::size_t n = 0; n < rows.size() && !labels.empty(); ++n) {
      batch.labels.push_back(labels[rows[n]]);
    }
    std::fill(batch.log_slope.begin(), batch.log_slope.end(), 0.0);
    transform->forward(raw, {seed, Purpose::dequantize_train, position.epoch()},
                       MatrixMap<T>(batch.x.data(), batch.x.rows(), batch.count),
                       std::span(batch.log_slope).first(static_cast<std::size_t>(batch.count)));
  }

  void start_next(const DataPosition& position) {
    next_position = position.samples_consumed;
    // A thread a batch: starting one costs microseconds, a step milliseconds.
    pending = std::async(std::launch::async, [this, position] {
      omp_set_num_threads(1);  // of this thread: the step has the other cores
      prepare(position, next);
    });
  }
};

template <class T>
BatchSource<T>::BatchSource(const SplitReader& train, const Transform<T>& transform,
                            std::uint64_t seed, std::int64_t batch_size, int rank, int world_size,
                            bool prefetch, std::vector<Label> labels)
    : impl_(std::make_unique<Impl>()) {
  impl_->train = &train;
  impl_->transform = &transform;
  impl_->seed = seed;
  // No batch crosses an epoch: memory for more samples than there are would stay unused.
  impl_->batch_size = std::min(batch_size, static_cast<std::int64_t>(train.rows()));
  impl_->rank = rank;
  impl_->world_size = world_size;
  impl_->prefetch = prefetch;
  impl_->labels = std::move(labels);
  for (PreparedBatch<T>* batch : {&impl_->current, &impl_->next}) {
    batch->x.resize(train.dimension(), capacity());
    batch->log_slope.resize(static_cast<std::size_t>(capacity()));
  }
}

template <class T>
BatchSource<T>::~BatchSource() {
  if (impl_->pending.valid()) impl_->pending.wait();
}

template <class T>
Index BatchSource<T>::capacity() const {
  return part_of(impl_->batch_size, 0, impl_->world_size).size();
}

template <class T>
const PreparedBatch<T>& BatchSource<T>::at(const DataPosition& position) {
  Impl& impl = *impl_;
  const bool ready = impl.pending.valid();
  if (ready) impl.pending.get();  // an error of the thread is thrown here
  if (ready && impl.next_position == position.samples_consumed) {
    std::swap(impl.current, impl.next);
  } else {
    impl.prepare(position, impl.current);
  }
  if (impl.prefetch) {
    DataPosition after = position;
    after.samples_consumed += position.batch(static_cast<std::uint64_t>(impl.batch_size));
    impl.start_next(after);
  }
  return impl.current;
}

template class BatchSource<float>;
template class BatchSource<double>;

}  // namespace relgrad
