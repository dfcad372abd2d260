#include "commands/evaluate.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <optional>
#include <vector>

#include "commands/outlier_scores.hpp"
#include "commands/score_file.hpp"
#include "commands/stop_at_once.hpp"
#include "data/labels.hpp"
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

/// Labels of the split for a model of `classes` classes. Not collective.
std::vector<Label> labels_of(const EvaluateOptions& options, const Task& task, Index classes) {
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
    EvaluationRequest request = request_of(options);
    mpi::together(comm, [&] {
      const Index classes = model.flow->classes();
      if (classes > 0) request.labels = labels_of(options, task, classes);
    });
    return evaluate_split<T>(model, split, request, comm, scores);
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

/// A number of every row, or `width` numbers.
struct Column {
  std::string name;
  std::vector<double> values;
  std::map<std::string, std::string> texts;  // attributes
  std::uint64_t width = 0;                   // [rows, width]; 0: [rows]
  bool are_labels = false;                   // whole numbers
};

/// Mean and standard deviation of finite values.
struct Spread {
  double mean = 0;
  double deviation = 0;
};

Spread spread_of(const std::vector<double>& values) {
  double count = 0;
  Spread spread;
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    count += 1;
    spread.mean += (value - spread.mean) / count;
  }
  double squares = 0;
  for (const double value : values) {
    if (std::isfinite(value)) squares += (value - spread.mean) * (value - spread.mean);
  }
  spread.deviation = std::sqrt(squares / std::max(1.0, count - 1));
  return spread;
}

/// |value - mean| / deviation over the reference, and these two as attributes.
Column typicality(const std::string& name, const std::vector<double>& values,
                  const std::vector<double>& reference) {
  const Spread spread = spread_of(reference);
  Column column{name, values, {}, 0, false};
  for (double& value : column.values) value = std::abs(value - spread.mean) / spread.deviation;
  column.texts = {{"reference_mean", fmt::format("{:.17g}", spread.mean)},
                  {"reference_deviation", fmt::format("{:.17g}", spread.deviation)}};
  log_info(fmt::format("{}: reference {:.2f} +- {:.2f} nats (standard deviation)", name,
                       spread.mean, spread.deviation));
  return column;
}

std::vector<double> difference(std::vector<double> one, const std::vector<double>& other) {
  for (std::size_t n = 0; n < one.size(); ++n) one[n] -= other[n];
  return one;
}

/// The data set that the model was trained on, as --reference names it.
DatasetInfo open_reference(const std::string& directory, const Task& task,
                           const mpi::Communicator& comm) {
  DatasetInfo data;
  mpi::together(comm, [&] {
    data = read_dataset_info(directory);
    const DatasetInfo trained_on = data_of(task.found);
    if (data.dimension != trained_on.dimension || data.type != trained_on.type) {
      throw DataError(
          fmt::format("--reference: {} has {} dimensions of {}, the model {} of {}; name "
                      "the data set that it was trained on",
                      directory, data.dimension, name_of(data.type), trained_on.dimension,
                      name_of(trained_on.type)));
    }
    if (data.split("val").rows < 2) {
      throw DataError(
          fmt::format("--reference: {} has {} samples in its split val; 2 are needed at least, "
                      "with which those "
                      "of --data are compared",
                      directory, data.split("val").rows));
    }
    if (data.identity != trained_on.identity) {
      log_warning(
          fmt::format("--reference: {} is not the data set that the model was trained on "
                      "('{}')",
                      directory, trained_on.name));
    }
  });
  check_same_data(data, directory, comm);
  return data;
}

std::vector<Column> outlier_columns(const ScoreOptions& options, const Task& task,
                                    const mpi::Communicator& comm, Evaluation& evaluation) {
  const std::string directory = options.reference.empty() ? options.data : options.reference;
  const DatasetInfo data = open_reference(directory, task, comm);
  const SplitReader split = open_split(options, task, comm);
  std::optional<SplitReader> reference;
  mpi::together(comm, [&] { reference.emplace(directory, data, "val"); });
  EvaluationRequest of_reference = request_of(options);
  of_reference.split = "val";
  if (flow_spec_of(task.found).classes > 0) {
    log_warning(
        "--ood: the model has classes; its tests of the latents compare them with the "
        "density that all classes would share");
  }

  return with_model(options, task, comm, [&]<class T>(const Model<T>& model) {
    Evaluation ignored;
    const OutlierStatistics normal =
        outlier_statistics(model, *reference, of_reference, comm, ignored);
    const OutlierStatistics found =
        outlier_statistics(model, split, request_of(options), comm, evaluation);
    const Products products(parse_product_backend(options.products));
    const Model<T> baseline = closed_form_baseline<T>(data, directory, products, comm);
    const auto ratio = [&](const SplitReader& rows, const EvaluationRequest& request,
                           const OutlierStatistics& of_model) {
      const OutlierStatistics closed = outlier_statistics(baseline, rows, request, comm, ignored);
      return difference(of_model.log_likelihood, closed.log_likelihood);
    };
    const std::vector<double> normal_ratio = ratio(*reference, of_reference, normal);
    const std::vector<double> found_ratio = ratio(split, request_of(options), found);
    return std::vector<Column>{
        {"/log_likelihood", found.log_likelihood, {{"unit", "nats"}}, 0, false},
        typicality("/typicality", found.log_likelihood, normal.log_likelihood),
        {"/latent_log_density", found.latent_log_density, {}, 0, false},
        {"/latent_anderson_darling", found.latent_anderson_darling, {}, 0, false},
        {"/log_ratio", found_ratio, {{"unit", "nats"}}, 0, false},
        typicality("/log_ratio_typicality", found_ratio, normal_ratio)};
  });
}

std::vector<Column> likelihood_columns(const ScoreOptions& options, const Task& task,
                                       const mpi::Communicator& comm, Evaluation& evaluation) {
  const std::uint64_t rows = task.dataset.split(options.split).rows;
  const auto classes = static_cast<std::uint64_t>(flow_spec_of(task.found).classes);
  std::vector<Column> columns{
      {"/log_likelihood", std::vector<double>(rows), {{"unit", "nats"}}, 0, false}};
  if (classes > 0) {
    columns.push_back({"/class_log_likelihood",
                       std::vector<double>(rows * classes),
                       {{"unit", "nats"}},
                       classes,
                       false});
    columns.push_back({"/predicted_label", std::vector<double>(rows), {}, 0, true});
  }
  const auto take = [&](std::uint64_t begin, const Scores& scores) {
    const auto first = static_cast<std::ptrdiff_t>(begin);
    std::ranges::copy(scores.nats, columns[0].values.begin() + first);
    if (classes == 0) return;
    const ConstMatrixMap<double>& by_class = scores.class_nats;
    std::copy_n(by_class.data(), by_class.size(),
                columns[1].values.begin() + first * by_class.rows());
    std::ranges::copy(scores.predicted, columns[2].values.begin() + first);
  };
  evaluation = evaluate_task(options, task, comm, take);
  for (Column& column : columns) {
    comm.allreduce_sum(std::span(column.values));  // exact: one rank has a row's value, others 0
  }
  return columns;
}

void write_columns(const ScoreOptions& options, const Task& task,
                   const std::vector<Column>& columns) {
  std::vector<hdf5::DatasetPlan> plans;
  for (const Column& column : columns) {
    std::vector<std::uint64_t> shape{column.values.size()};
    if (column.width > 0) shape = {column.values.size() / column.width, column.width};
    plans.push_back(dataset_plan(column.name,
                                 column.are_labels ? hdf5::Type::int64 : hdf5::Type::float64, shape,
                                 options, task));
    plans.back().attributes.integers["draws"] = {options.draws};
    plans.back().attributes.texts.insert(column.texts.begin(), column.texts.end());
  }
  ScoreFile file(options.output, "--output", plans);
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const std::vector<double>& values = columns[i].values;
    if (columns[i].are_labels) {
      const std::vector<std::int64_t> labels(values.begin(), values.end());
      file.write(i, 0, labels.data(), labels.size() * sizeof(std::int64_t));
    } else {
      file.write(i, 0, values.data(), values.size() * sizeof(double));
    }
  }
  file.commit();
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
  Evaluation evaluation;
  const std::vector<Column> columns = options.ood
                                          ? outlier_columns(options, task, comm, evaluation)
                                          : likelihood_columns(options, task, comm, evaluation);
  mpi::together(comm, [&] {
    if (comm.is_root()) write_columns(options, task, columns);
  });
  const char* const more = options.ood          ? " and scores of outliers"
                           : columns.size() > 1 ? ", those by class, predicted labels"
                                                : "";
  log_info(fmt::format("{} log-likelihoods{} in {}", columns.front().values.size(), more,
                       options.output));
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
