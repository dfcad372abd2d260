#include "start/first_batch.hpp"

#include <vector>

#include "relgrad/core/partition.hpp"
#include "relgrad/data/epoch_order.hpp"
#include "relgrad/model/workspace.hpp"
#include "relgrad/mpi/agreement.hpp"

namespace relgrad {

template <class T>
void start_from_first_batch(Flow<T>& flow, const Transform<T>& transform, const SplitReader& train,
                            std::int64_t batch_size, std::uint64_t seed,
                            const mpi::Communicator& comm) {
  const std::int64_t samples = std::min(batch_size, static_cast<std::int64_t>(train.rows()));
  std::vector<std::unique_ptr<DataStart<T>>> starts;
  std::size_t end = 0;  // no layer from here on wants a start
  for (std::size_t i = 0; i < flow.layer_count(); ++i) {
    starts.push_back(flow.layer(i).first_batch_start(samples));
    if (starts.back() != nullptr) end = i + 1;
  }
  if (end == 0) return;

  const Range part = part_of(samples, comm.rank(), comm.world_size());
  Workspace<T> workspace(flow, part_of(samples, 0, comm.world_size()).size());
  mpi::together(comm, [&] {
    const EpochOrder order(seed, 0, train.rows());
    std::vector<std::uint64_t> rows;
    for (std::int64_t i = part.begin; i < part.end; ++i) {
      rows.push_back(order.sample_at(static_cast<std::uint64_t>(i)));
    }
    RawBatch raw;
    train.read(rows, raw);
    Matrix<T> x(flow.dimension(), part.size());
    std::vector<double> log_slope(rows.size());
    transform.forward(raw, {seed, Purpose::dequantize_train, 0},
                      MatrixMap<T>(x.data(), x.rows(), x.cols()), log_slope);
    workspace.load(x.data(), part.size());
  });
  for (std::size_t i = 0; i < end; ++i) {
    if (starts[i] != nullptr) {
      starts[i]->add(workspace.input_of(i));
      comm.allreduce_sum(starts[i]->sums());
      starts[i]->finish();
      flow.layer(i).prepare();
    }
    flow.layer(i).forward(workspace.pass(i));
  }
}

template void start_from_first_batch(Flow<float>&, const Transform<float>&, const SplitReader&,
                                     std::int64_t, std::uint64_t, const mpi::Communicator&);
template void start_from_first_batch(Flow<double>&, const Transform<double>&, const SplitReader&,
                                     std::int64_t, std::uint64_t, const mpi::Communicator&);

}  // namespace relgrad
