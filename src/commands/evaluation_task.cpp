#include "commands/evaluation_task.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "data/labels.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/mpi/agreement.hpp"
#include "run/checkpoint_choice.hpp"
#include "run/json_report.hpp"
#include "run/same_data.hpp"

namespace relgrad {

namespace {

constexpr const char* report_key = "log_likelihood_pixel_nats";

std::string shape_text(const std::vector<Index>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

/// Of the same dimension, yet perhaps not what the model is of.
void warn_of_other_data(const EvaluationTask& task, const EvaluateOptions& options) {
  const DatasetInfo trained_on = data_of(task.found);
  if (task.dataset.sample_shape != trained_on.sample_shape) {
    log_warning(fmt::format("{}: its samples are {}, the model was trained on {} ('{}')",
                            options.data, shape_text(task.dataset.sample_shape),
                            shape_text(trained_on.sample_shape), trained_on.name));
  }
  const double width = trained_on.value_max - trained_on.value_min;  // 0: not in the checkpoint
  const double width_here = task.dataset.value_max - task.dataset.value_min;
  constexpr double factor = 10;
  if (width > 0 && (width_here > factor * width || width_here < width / factor)) {
    log_warning(
        fmt::format("{}: its values are {:.6g} ... {:.6g}, those the model was trained on "
                    "{:.6g} ... {:.6g}: is this the same unit?",
                    options.data, task.dataset.value_min, task.dataset.value_max,
                    trained_on.value_min, trained_on.value_max));
  }
}

/// Labels of the split for a model of `classes` classes. Not collective.
std::vector<Label> labels_of(const EvaluateOptions& options, const EvaluationTask& task,
                             Index classes) {
  const std::vector<Label> labels = read_labels(options.data, task.dataset, options.split);
  const auto others = std::ranges::count_if(labels, [&](Label label) { return label >= classes; });
  if (others > 0) {
    log_warning(
        fmt::format("{}: {} of {} labels of split {} are none of the model's classes 0 ... {}; "
                    "these samples do not count for the accuracy",
                    options.data, others, labels.size(), options.split, classes - 1));
  }
  return labels;
}

}  // namespace

EvaluationTask open_task(const EvaluateOptions& options, const mpi::Communicator& comm) {
  mpi::together(comm, [&] { set_threads(static_cast<int>(options.threads)); });
  EvaluationTask task;
  task.found = choose_checkpoint(options.run, options.checkpoint, comm);
  task.step = task.found.manifest.at("state").at("step").get<std::int64_t>();
  mpi::together(comm, [&] {
    task.dataset = read_dataset_info(options.data);
    const DatasetInfo trained_on = data_of(task.found);
    if (task.dataset.dimension != trained_on.dimension) {
      throw CheckpointError(
          fmt::format("{}: the model has {} dimensions, the data set {} has {}; use data like "
                      "'{}', which it was "
                      "trained on",
                      task.found.directory.string(), trained_on.dimension, options.data,
                      task.dataset.dimension, trained_on.name));
    }
    if (task.dataset.type != trained_on.type) {
      throw CheckpointError(fmt::format("{}: the model was trained on {} samples, {} holds {}",
                                        task.found.directory.string(), name_of(trained_on.type),
                                        options.data, name_of(task.dataset.type)));
    }
    if (task.dataset.split(options.split).rows == 0) {
      throw DataError(fmt::format("{}: split {} has 0 samples", options.data, options.split));
    }
  });
  check_same_data(task.dataset, options.data, comm);
  warn_of_other_data(task, options);
  log_info(fmt::format("checkpoint {} (step {})", task.found.directory.string(), task.step));
  return task;
}

SplitReader open_split(const EvaluateOptions& options, const EvaluationTask& task,
                       const mpi::Communicator& comm) {
  std::optional<SplitReader> split;
  mpi::together(comm, [&] { split.emplace(options.data, task.dataset, options.split); });
  return std::move(*split);
}

EvaluationRequest request_of(const EvaluateOptions& options) {
  return {options.split, options.draws, options.batch_size, 0, options.seed};
}

Evaluation evaluate_task(const EvaluateOptions& options, const EvaluationTask& task,
                         const mpi::Communicator& comm, const ScoreSink& scores) {
  const SplitReader split = open_split(options, task, comm);
  return with_model(options, task, comm, [&]<class T>(const Model<T>& model) {
    EvaluationRequest request = request_of(options);
    mpi::together(comm, [&] {
      const Index classes = model.flow->classes();
      if (classes > 0) request.labels = labels_of(options, task, classes);
    });
    return evaluate_split<T>(model, split, request, comm, scores);
  });
}

void check_report_place(const EvaluateOptions& options, const mpi::Communicator& comm) {
  check_report_place(comm, options.json, report_key);
}

int print(const EvaluateOptions& options, const EvaluationTask& task, const Evaluation& evaluation,
          const mpi::Communicator& comm) {
  report(comm, options.json, to_json(evaluation, task.step), [&] {
    fmt::print("{}", describe(evaluation, task.dataset.dimension,
                              task.dataset.type == ElementType::uint8));
  });
  return 0;
}

/// A dataset that says of which split and checkpoint it is.
hdf5::DatasetPlan dataset_plan(const std::string& name, hdf5::Type type,
                               const std::vector<std::uint64_t>& shape,
                               const EvaluateOptions& options, const EvaluationTask& task) {
  return {name,
          type,
          shape,
          {{{"step", {task.step}}},
           {{"split", options.split}, {"checkpoint", task.found.directory.string()}}}};
}

}  // namespace relgrad
