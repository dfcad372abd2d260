#include <fmt/format.h>

#include <optional>
#include <span>
#include <vector>

#include "commands/evaluation_task.hpp"
#include "commands/score_file.hpp"
#include "commands/stop_at_once.hpp"
#include "data/progress.hpp"
#include "relgrad/core/files.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/mpi/agreement.hpp"

namespace relgrad {

int encode(const EncodeOptions& options, const mpi::Communicator& comm) {
  const StopAtOnce stop(comm.is_root());
  mpi::together(comm, [&] {
    if (comm.is_root()) refuse_existing(options.output, "--output");
  });
  const EvaluationTask task = open_task(options, comm);
  const SplitReader split = open_split(options, task, comm);
  const auto dimension = static_cast<std::uint64_t>(task.dataset.dimension);
  std::optional<ScoreFile> file;  // of root
  mpi::together(comm, [&] {
    if (!comm.is_root()) return;
    file.emplace(options.output, "--output",
                 std::vector{dataset_plan("/latent", hdf5::Type::float32, {split.rows(), dimension},
                                          options, task)});
  });
  RowsToRoot to_root(comm, task.dataset.dimension);
  const auto write = [&](std::int64_t first_row, std::span<const float> values) {
    file->write(0, static_cast<std::uint64_t>(first_row) * dimension * sizeof(float), values.data(),
                values.size_bytes());
  };
  std::optional<Progress> progress(std::in_place, "encode", split.rows());
  with_model(options, task, comm, [&]<class T>(const Model<T>& model) {
    const auto take = [&](const std::vector<Range>& rows, const ConstMatrixMap<T>& latent) {
      const Matrix<float> z = latent.template cast<float>();
      to_root.hand_over(rows, {z.data(), static_cast<std::size_t>(z.size())}, write);
      if (!comm.is_root()) return;
      std::int64_t done = 0;
      for (const Range& part : rows) done += part.size();
      progress->add(static_cast<std::uint64_t>(done));
    };
    encode_split<T>(model, split, request_of(options), comm, take);
  });
  progress.reset();
  mpi::together(comm, [&] {
    if (file) file->commit();
  });
  log_info(fmt::format("{} latent vectors of {} numbers in {}", split.rows(), dimension,
                       options.output));
  return 0;
}

}  // namespace relgrad
