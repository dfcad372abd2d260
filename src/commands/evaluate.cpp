#include "commands/evaluate.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <map>

#include "commands/score_file.hpp"
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

template <class T>
Evaluation evaluate_in(const EvaluateOptions& options, const Task& task,
                       const mpi::Communicator& comm, const ScoreSink& scores,
                       LatentValues* latents) {
  const Products products(parse_product_backend(options.products));
  const auto row_group = make_row_group<T>(comm, options.row_groups);
  const Model<T> model = restore_model<T>(task.found, products, comm, row_group.get());
  std::optional<SplitReader> split;
  mpi::together(comm, [&] { split.emplace(options.data, task.dataset, options.split); });
  LatentSink<T> take;
  if (latents != nullptr) {
    take = [&](Range rows, Range coordinates, const ConstMatrixMap<T>& z) {
      latents->add(rows, coordinates, z.template cast<float>());
    };
  }
  return evaluate_split(model, *split,
                        {options.split, options.draws, options.batch_size, 0, options.seed}, comm,
                        scores, take);
}

Evaluation evaluate_task(const EvaluateOptions& options, const Task& task,
                         const mpi::Communicator& comm, const ScoreSink& scores = nullptr,
                         LatentValues* latents = nullptr) {
  return precision_of(task.found) == "float64"
             ? evaluate_in<double>(options, task, comm, scores, latents)
             : evaluate_in<float>(options, task, comm, scores, latents);
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

std::vector<hdf5::DatasetPlan> file_plan(const ScoreOptions& options, const Task& task,
                                         std::uint64_t rows) {
  const std::map<std::string, std::string> texts{{"split", options.split},
                                                 {"checkpoint", task.found.directory.string()}};
  hdf5::DatasetPlan nats{"/log_likelihood", hdf5::Type::float64, {rows}, {}};
  nats.attributes = {{{"step", {task.step}}, {"draws", {options.draws}}}, texts};
  nats.attributes.texts["unit"] = "nats";
  if (!options.latent) return {nats};
  hdf5::DatasetPlan latent{"/latent", hdf5::Type::float32, {rows, 0}, {}};
  latent.shape[1] = static_cast<std::uint64_t>(task.dataset.dimension);
  latent.attributes = {{{"step", {task.step}}}, texts};
  return {nats, latent};
}

}  // namespace

int evaluate(const EvaluateOptions& options, const mpi::Communicator& comm) {
  check_report_place(comm, options.json, report_key);
  const Task task = open_task(options, comm);
  const Evaluation evaluation = evaluate_task(options, task, comm);
  return print(options, task, evaluation, comm);
}

int score(const ScoreOptions& options, const mpi::Communicator& comm) {
  check_report_place(comm, options.json, report_key);
  mpi::together(comm, [&] {
    if (comm.is_root()) refuse_existing(options.output, "--output");
  });
  const Task task = open_task(options, comm);
  const std::uint64_t rows = task.dataset.split(options.split).rows;
  std::vector<double> nats(rows, 0.0);
  LatentValues latents(rows, task.dataset.dimension);
  const auto take = [&](std::uint64_t begin, std::span<const double> part) {
    std::ranges::copy(part, nats.begin() + static_cast<std::ptrdiff_t>(begin));
  };
  const Evaluation evaluation =
      evaluate_task(options, task, comm, take, options.latent ? &latents : nullptr);
  nats = gather_scores(std::move(nats), comm);
  std::optional<ScoreFile> file;
  mpi::together(comm, [&] {
    if (!comm.is_root()) return;
    file.emplace(options.output, "--output", file_plan(options, task, rows));
    file->write(0, 0, nats.data(), rows * sizeof(double));
  });
  if (options.latent) {
    latents.gather(comm, [&](std::uint64_t first_row, std::span<const float> values) {
      if (!file) return;  // root has it
      const std::uint64_t row_bytes =
          static_cast<std::uint64_t>(task.dataset.dimension) * sizeof(float);
      file->write(1, first_row * row_bytes, values.data(), values.size_bytes());
    });
  }
  mpi::together(comm, [&] {
    if (file) file->commit();
  });
  log_info(fmt::format("{} log-likelihoods{} in {}", rows,
                       options.latent ? " and latent vectors" : "", options.output));
  return print(options, task, evaluation, comm);
}

}  // namespace relgrad
