#include "commands/evaluate.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <optional>

#include "commands/score_file.hpp"
#include "commands/stop_at_once.hpp"
#include "data/progress.hpp"
#include "evaluation/evaluation.hpp"
#include "hdf5/file.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/files.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/exchange/row_group.hpp"
#include "relgrad/mpi/agreement.hpp"
#include "run/checkpoint_choice.hpp"
#include "run/json_report.hpp"
#include "run/same_data.hpp"

namespace relgrad {

namespace fs = std::filesystem;

namespace {

constexpr const char* report_key = "log_likelihood_pixel_nats";

/// Everything the two commands need, the same on every rank.
struct Task {
  checkpoint::Found found;
  DatasetInfo dataset;
  std::int64_t step = 0;
};

std::string shape_text(const std::vector<Index>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

/// Of the same dimension, yet perhaps not what the model is of.
void warn_of_other_data(const Task& task, const EvaluateOptions& options) {
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

Task open_task(const EvaluateOptions& options, const mpi::Communicator& comm) {
  mpi::together(comm, [&] { set_threads(static_cast<int>(options.threads)); });
  Task task;
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

SplitReader open_split(const EvaluateOptions& options, const Task& task,
                       const mpi::Communicator& comm) {
  std::optional<SplitReader> split;
  mpi::together(comm, [&] { split.emplace(options.data, task.dataset, options.split); });
  return std::move(*split);
}

EvaluationRequest request_of(const EvaluateOptions& options) {
  return {options.split, options.draws, options.batch_size, 0, options.seed};
}

/// Calls work(model) with the model of the task, in its precision.
template <class Work>
auto with_model(const EvaluateOptions& options, const Task& task, const mpi::Communicator& comm,
                const Work& work) {
  const auto in = [&]<class T>(T /*precision*/) {
    const Products products(parse_product_backend(options.products));
    const auto row_group = make_row_group<T>(comm, options.row_groups);
    const Model<T> model = restore_model<T>(task.found, products, comm, row_group.get());
    return work(model);
  };
  return precision_of(task.found) == "float64" ? in(double{}) : in(float{});
}

Evaluation evaluate_task(const EvaluateOptions& options, const Task& task,
                         const mpi::Communicator& comm, const ScoreSink& scores = nullptr) {
  const SplitReader split = open_split(options, task, comm);
  return with_model(options, task, comm, [&]<class T>(const Model<T>& model) {
    return evaluate_split<T>(model, split, request_of(options), comm, scores);
  });
}

int print(const EvaluateOptions& options, const Task& task, const Evaluation& evaluation,
          const mpi::Communicator& comm) {
  report(comm, options.json, to_json(evaluation, task.step), [&] {
    fmt::print("{}", describe(evaluation, task.dataset.dimension,
                              task.dataset.type == ElementType::uint8));
  });
  return 0;
}

/// Every rank's scores into one array: rows are disjoint, so sums of zeros and values are the
/// values.
std::vector<double> gather_scores(std::vector<double> scores, const mpi::Communicator& comm) {
  comm.allreduce_sum(std::span(scores));
  return scores;
}

/// A dataset that says of which split and checkpoint it is.
hdf5::DatasetPlan dataset_plan(const std::string& name, hdf5::Type type,
                               const std::vector<std::uint64_t>& shape,
                               const EvaluateOptions& options, const Task& task) {
  return {name,
          type,
          shape,
          {{{"step", {task.step}}},
           {{"split", options.split}, {"checkpoint", task.found.directory.string()}}}};
}

}  // namespace

int evaluate(const EvaluateOptions& options, const mpi::Communicator& comm) {
  check_report_place(comm, options.json, report_key);
  const Task task = open_task(options, comm);
  const Evaluation evaluation = evaluate_task(options, task, comm);
  return print(options, task, evaluation, comm);
}

int score(const ScoreOptions& options, const mpi::Communicator& comm) {
  const StopAtOnce stop(comm.is_root());
  check_report_place(comm, options.json, report_key);
  mpi::together(comm, [&] {
    if (comm.is_root()) refuse_existing(options.output, "--output");
  });
  const Task task = open_task(options, comm);
  const std::uint64_t rows = task.dataset.split(options.split).rows;
  std::vector<double> nats(rows, 0.0);
  const auto take = [&](std::uint64_t begin, std::span<const double> part) {
    std::ranges::copy(part, nats.begin() + static_cast<std::ptrdiff_t>(begin));
  };
  const Evaluation evaluation = evaluate_task(options, task, comm, take);
  nats = gather_scores(std::move(nats), comm);
  mpi::together(comm, [&] {
    if (!comm.is_root()) return;
    hdf5::DatasetPlan plan =
        dataset_plan("/log_likelihood", hdf5::Type::float64, {rows}, options, task);
    plan.attributes.integers["draws"] = {options.draws};
    plan.attributes.texts["unit"] = "nats";
    ScoreFile file(options.output, "--output", {plan});
    file.write(0, 0, nats.data(), rows * sizeof(double));
    file.commit();
  });
  log_info(fmt::format("{} log-likelihoods in {}", rows, options.output));
  return print(options, task, evaluation, comm);
}

int encode(const EncodeOptions& options, const mpi::Communicator& comm) {
  const StopAtOnce stop(comm.is_root());
  mpi::together(comm, [&] {
    if (comm.is_root()) refuse_existing(options.output, "--output");
  });
  const Task task = open_task(options, comm);
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
