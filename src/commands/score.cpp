#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "commands/evaluation_task.hpp"
#include "commands/outlier_scores.hpp"
#include "commands/score_file.hpp"
#include "commands/stop_at_once.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/files.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/mpi/agreement.hpp"
#include "run/same_data.hpp"

namespace relgrad {

namespace {

/// A number of every row, or `width` numbers.
struct Column {
  std::string name;
  std::vector<double> values;
  std::map<std::string, std::string> texts;  // attributes
  std::uint64_t width = 0;                   // [rows, width]; 0: [rows]
  bool are_labels = false;                   // whole numbers
};

/// Of the finite ones among some values.
struct MeanAndDeviation {
  double mean = 0;
  double deviation = 0;
};

MeanAndDeviation mean_and_deviation(const std::vector<double>& values) {
  double count = 0;
  MeanAndDeviation result;
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    count += 1;
    result.mean += (value - result.mean) / count;
  }
  double squares = 0;
  for (const double value : values) {
    if (std::isfinite(value)) squares += (value - result.mean) * (value - result.mean);
  }
  result.deviation = std::sqrt(squares / std::max(1.0, count - 1));
  return result;
}

/// |value - mean| / deviation over the reference, and these two as attributes. Every rank has all
/// values. @throws DataError if the deviation is 0
Column typicality(const std::string& name, const std::vector<double>& values,
                  const std::vector<double>& reference) {
  const MeanAndDeviation normal = mean_and_deviation(reference);
  if (!(normal.deviation > 0)) {
    mpi::throw_on_all_ranks(DataError(
        fmt::format("--reference: all samples of its split val have the same {}, {:.6g}; name a "
                    "data set whose samples differ",
                    name, normal.mean)));
  }
  Column column{name, values, {}, 0, false};
  for (double& value : column.values) value = std::abs(value - normal.mean) / normal.deviation;
  column.texts = {{"reference_mean", fmt::format("{:.17g}", normal.mean)},
                  {"reference_deviation", fmt::format("{:.17g}", normal.deviation)}};
  log_info(fmt::format("{}: reference {:.2f} +- {:.2f} nats (standard deviation)", name,
                       normal.mean, normal.deviation));
  return column;
}

std::vector<double> difference(std::vector<double> one, const std::vector<double>& other) {
  for (std::size_t n = 0; n < one.size(); ++n) one[n] -= other[n];
  return one;
}

/// The data set that the model was trained on, as --reference names it.
DatasetInfo open_reference(const std::string& directory, const EvaluationTask& task,
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

std::vector<Column> outlier_columns(const ScoreOptions& options, const EvaluationTask& task,
                                    const mpi::Communicator& comm, Evaluation& evaluation) {
  const std::string directory = options.reference.empty() ? options.data : options.reference;
  const DatasetInfo data = open_reference(directory, task, comm);
  const SplitReader split = open_split(options, task, comm);
  std::optional<SplitReader> reference;
  mpi::together(comm, [&] { reference.emplace(directory, data, "val"); });
  EvaluationRequest of_reference = request_of(options);
  of_reference.split = "val";

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

std::vector<Column> likelihood_columns(const ScoreOptions& options, const EvaluationTask& task,
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

void write_columns(const ScoreOptions& options, const EvaluationTask& task,
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

int score(const ScoreOptions& options, const mpi::Communicator& comm) {
  const StopAtOnce stop(comm.is_root());
  check_report_place(options, comm);
  mpi::together(comm, [&] {
    if (comm.is_root()) refuse_existing(options.output, "--output");
  });
  const EvaluationTask task = open_task(options, comm);
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

}  // namespace relgrad
