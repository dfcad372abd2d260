#include "relgrad/train/evaluate.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <limits>

#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/exchange/row_group.hpp"
#include "relgrad/hdf5/file.hpp"
#include "relgrad/mpi/agreement.hpp"
#include "relgrad/train/checkpoint_choice.hpp"
#include "relgrad/train/evaluation.hpp"
#include "relgrad/train/run_directory.hpp"

namespace relgrad {

namespace fs = std::filesystem;

namespace {

/// Everything the two commands need, the same on every rank.
struct Task {
  checkpoint::Found found;
  DatasetInfo dataset;
  std::int64_t step = 0;
};

Task open_task(const EvaluateOptions& options, const mpi::Communicator& comm) {
  set_threads(static_cast<int>(options.threads));
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
  log_info(fmt::format("checkpoint {} (step {})", task.found.directory.string(), task.step));
  return task;
}

template <class T>
Evaluation evaluate_in(const EvaluateOptions& options, const Task& task,
                       const mpi::Communicator& comm, const ScoreSink& scores) {
  const Products products(parse_product_backend(options.products));
  const auto row_group = make_row_group<T>(comm, options.row_groups);
  const Model<T> model = restore_model<T>(task.found, products, comm, row_group.get());
  std::optional<SplitReader> split;
  mpi::together(comm, [&] { split.emplace(options.data, task.dataset, options.split); });
  return evaluate_split(model, *split,
                        {options.split, options.draws, options.batch_size, 0, options.seed}, comm,
                        scores);
}

Evaluation evaluate_task(const EvaluateOptions& options, const Task& task,
                         const mpi::Communicator& comm, const ScoreSink& scores) {
  return precision_of(task.found) == "float64" ? evaluate_in<double>(options, task, comm, scores)
                                               : evaluate_in<float>(options, task, comm, scores);
}

int print(const EvaluateOptions& options, const Task& task, const Evaluation& evaluation,
          const mpi::Communicator& comm) {
  mpi::together(comm, [&] {
    if (!comm.is_root()) return;
    const std::string json = to_json(evaluation, task.step).dump(2) + "\n";
    if (options.json == "-") {
      fmt::print("{}", json);
    } else {
      fmt::print("{}", describe(evaluation, task.dataset.dimension,
                                task.dataset.type == ElementType::uint8));
      if (!options.json.empty()) write_file_atomically(options.json, json);
    }
  });
  return 0;
}

/// Every rank's scores into one array: rows are disjoint, so sums of zeros and values are the
/// values.
std::vector<double> gather_scores(std::vector<double> scores, const mpi::Communicator& comm) {
  comm.allreduce_sum(std::span(scores));
  return scores;
}

void write_scores(const fs::path& output, const std::vector<double>& nats, const Task& task,
                  const ScoreOptions& options) {
  if (fs::exists(output)) {
    throw UsageError(
        fmt::format("--output: {} exists; name another file or remove it", output.string()));
  }
  const fs::path temporary = output.string() + fmt::format(".tmp-{}", getpid());
  try {
    const auto places =
        hdf5::create(temporary, {{"/log_likelihood",
                                  hdf5::Type::float64,
                                  {nats.size()},
                                  {{{"step", {task.step}}, {"draws", {options.draws}}},
                                   {{"unit", "nats"},
                                    {"split", options.split},
                                    {"checkpoint", task.found.directory.string()}}}}});
    const hdf5::RawFile file(temporary, hdf5::RawFile::Mode::write);
    file.write_at(places[0].offset, nats.data(), places[0].bytes);
    file.sync();
    fs::rename(temporary, output);
  } catch (...) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw;
  }
}

}  // namespace

int evaluate(const EvaluateOptions& options, const mpi::Communicator& comm) {
  const Task task = open_task(options, comm);
  const Evaluation evaluation = evaluate_task(options, task, comm, nullptr);
  return print(options, task, evaluation, comm);
}

int score(const ScoreOptions& options, const mpi::Communicator& comm) {
  const Task task = open_task(options, comm);
  std::vector<double> nats(task.dataset.split(options.split).rows, 0.0);
  const Evaluation evaluation =
      evaluate_task(options, task, comm, [&](std::uint64_t begin, std::span<const double> part) {
        std::ranges::copy(part, nats.begin() + static_cast<std::ptrdiff_t>(begin));
      });
  nats = gather_scores(std::move(nats), comm);
  mpi::together(comm, [&] {
    if (comm.is_root()) write_scores(options.output, nats, task, options);
  });
  log_info(fmt::format("{} log-likelihoods in {}", nats.size(), options.output));
  return print(options, task, evaluation, comm);
}

}  // namespace relgrad
