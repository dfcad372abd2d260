#pragma once
/// What `evaluate`, `score` and `encode` share: a checkpoint, a split of a data set, and the model
/// that meets it. All functions are collective and throw on every rank together, unless they say
/// otherwise.
#include <cstdint>
#include <string>
#include <vector>

#include "commands/evaluate.hpp"
#include "evaluation/evaluation.hpp"
#include "hdf5/file.hpp"
#include "relgrad/exchange/row_group.hpp"

namespace relgrad {

/// The same on every rank.
struct EvaluationTask {
  checkpoint::Found found;
  DatasetInfo dataset;
  std::int64_t step = 0;
};

/// Warns, too, of data that may be other ones than those the model was trained on.
/// @throws CheckpointError, DataError
EvaluationTask open_task(const EvaluateOptions& options, const mpi::Communicator& comm);
SplitReader open_split(const EvaluateOptions& options, const EvaluationTask& task,
                       const mpi::Communicator& comm);
EvaluationRequest request_of(const EvaluateOptions& options);

/// Calls work(model) with the model of the task, in its precision.
template <class Work>
auto with_model(const EvaluateOptions& options, const EvaluationTask& task,
                const mpi::Communicator& comm, const Work& work) {
  const auto in = [&]<class T>(T /*precision*/) {
    const Products products(parse_product_backend(options.products));
    const auto row_group = make_row_group<T>(comm, options.row_groups);
    const Model<T> model = restore_model<T>(task.found, products, comm, row_group.get());
    return work(model);
  };
  return precision_of(task.found) == "float64" ? in(double{}) : in(float{});
}

/// @param scores  what a batch gave, or null
Evaluation evaluate_task(const EvaluateOptions& options, const EvaluationTask& task,
                         const mpi::Communicator& comm, const ScoreSink& scores = nullptr);

/// Refuses a place for --json that holds something else.
void check_report_place(const EvaluateOptions& options, const mpi::Communicator& comm);
/// For people, and for --json where that is wanted. Returns the exit code.
int print(const EvaluateOptions& options, const EvaluationTask& task, const Evaluation& evaluation,
          const mpi::Communicator& comm);

/// A dataset of an output that says of which split and checkpoint it is. Not collective.
hdf5::DatasetPlan dataset_plan(const std::string& name, hdf5::Type type,
                               const std::vector<std::uint64_t>& shape,
                               const EvaluateOptions& options, const EvaluationTask& task);

}  // namespace relgrad
