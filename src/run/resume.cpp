#include "run/resume.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <functional>

#include "data/labels.hpp"
#include "options/option_file.hpp"
#include "options/option_table.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/files.hpp"
#include "relgrad/core/json.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/mpi/agreement.hpp"
#include "start/model.hpp"
#include "translate/translate.hpp"

namespace relgrad {

namespace {

// JSON has no NaN and no infinity: they are null.
nlohmann::json number(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(nullptr);
}
double number_or(const nlohmann::json& json, double otherwise) {
  return json.is_number() ? json.get<double>() : otherwise;
}

}  // namespace

void RunState::add_to_next_line(double log_likelihood, double transform_log_slope, double samples) {
  unlogged_log_likelihood += log_likelihood;
  unlogged_log_abs_det += samples * log_abs_det;
  unlogged_transform_log_slope += transform_log_slope;
  unlogged_samples += samples;
}

void RunState::record_log_abs_det(double log_abs_det_nats) {
  log_abs_det = log_abs_det_nats;
  log_abs_det_step = step;
  log_abs_det_lu_step = step;
}

void RunState::record_validation(double val_bits_per_dim) {
  last_val_bits_per_dim =
      std::isfinite(val_bits_per_dim) ? val_bits_per_dim : std::numeric_limits<double>::infinity();
  last_evaluated_step = step;
  if (last_val_bits_per_dim < best_val_bits_per_dim) {
    best_val_bits_per_dim = last_val_bits_per_dim;
    best_step = step;
    evaluations_without_best = 0;
  } else {
    ++evaluations_without_best;
  }
}

std::optional<double> RunState::val_bits_per_dim() const {
  const std::optional<double> value =
      last_evaluated_step == step ? std::optional(last_val_bits_per_dim) : val_bits_per_dim_at_stop;
  return value && std::isfinite(*value) ? value : std::nullopt;
}

double RunState::best_known_bits_per_dim() const {
  return std::min(best_val_bits_per_dim, val_bits_per_dim().value_or(HUGE_VAL));
}

void RunState::record(const std::vector<std::string>& changes) {
  history.push_back(
      {{"step", step}, {"samples_consumed", position.samples_consumed}, {"changes", changes}});
}

nlohmann::json to_json(const RunState& state) {
  return {
      {"step", state.step},
      {"updates", state.updates},
      {"skipped_steps", state.skipped_steps},
      {"rollbacks", state.rollbacks},
      {"epoch", state.epochs_done()},
      {"samples_consumed", state.position.samples_consumed},
      {"rows", state.position.rows},
      {"seconds", state.seconds},
      {"history", state.history},
      {"metrics",
       {{"val_bits_per_dim", state.val_bits_per_dim() ? nlohmann::json(*state.val_bits_per_dim())
                                                      : nlohmann::json(nullptr)},
        {"last_val_bits_per_dim", number(state.last_val_bits_per_dim)},
        {"last_evaluated_step", state.last_evaluated_step},
        {"best_val_bits_per_dim", number(state.best_val_bits_per_dim)},
        {"best_step", state.best_step},
        {"evaluations_without_best", state.evaluations_without_best},
        {"log_abs_det_nats", number(state.log_abs_det)},
        {"log_abs_det_step", state.log_abs_det_step},
        {"log_abs_det_lu_step", state.log_abs_det_lu_step},
        {"unlogged_log_likelihood_nats", state.unlogged_log_likelihood},
        {"unlogged_log_abs_det_nats", number(state.unlogged_log_abs_det)},
        {"unlogged_transform_log_slope_nats", state.unlogged_transform_log_slope},
        {"unlogged_samples", state.unlogged_samples}}}};
}

void check_state(const checkpoint::Found& found) {
  const auto refuse = [&](const std::string& what) {
    throw CheckpointError(
        fmt::format("{}: {}; it is damaged or not relgrad's: take another checkpoint",
                    (found.directory / "manifest.json").string(), what));
  };
  // Numbers that are counted up from, and far from where they would wrap.
  constexpr std::int64_t most = std::int64_t{1} << 53;
  try {
    const nlohmann::json& state = found.manifest.at("state");
    for (const char* name : {"step", "rows", "samples_consumed"}) {
      const nlohmann::json& value = state.at(name);
      const std::int64_t least = std::string_view(name) == "rows" ? 1 : 0;
      if (!value.is_number_integer() || value < least || value > most) {
        refuse(fmt::format("state.{} is {}, expected {} ... 2^53", name, json_text(value), least));
      }
    }
    if (state.at("step") != found.manifest.at("step")) refuse("state.step is not its step");
    if (state.at("samples_consumed").get<std::uint64_t>() / state.at("rows").get<std::uint64_t>() >
        std::numeric_limits<std::uint32_t>::max()) {
      refuse("state.samples_consumed is too large for state.rows");
    }
    static_cast<void>(run_state_from(state));
    for (const auto& entry : state.value("history", nlohmann::json::array())) {
      entry.at("step").get<std::int64_t>();
      entry.at("samples_consumed").get<std::uint64_t>();
      entry.at("changes").get<std::vector<std::string>>();
    }
    state.at("seed").get<std::uint64_t>();
    state.at("options").get<std::map<std::string, std::string>>();
    const nlohmann::json& model = state.at("model");
    const nlohmann::json& data = model.at("data");
    if (model.at("dimension").get<Index>() < 1) refuse("state.model.dimension is below 1");
    for (const char* name : {"name", "type", "identity"}) data.at(name).get<std::string>();
    data.at("sample_shape").get<std::vector<Index>>();
    model.at("precision").get<std::string>();
    if (!model.at("layers").is_array()) refuse("state.model.layers is no list");
  } catch (const nlohmann::json::exception& error) {
    refuse(error.what());
  }
}

RunState run_state_from(const nlohmann::json& json) {
  try {
    RunState state;
    state.step = json.at("step").get<std::int64_t>();
    state.updates = json.value("updates", state.step);
    state.skipped_steps = json.value("skipped_steps", std::int64_t{0});
    state.rollbacks = json.value("rollbacks", std::int64_t{0});
    state.position.samples_consumed = json.at("samples_consumed").get<std::uint64_t>();
    state.position.rows = json.at("rows").get<std::uint64_t>();
    state.seconds = json.at("seconds").get<double>();
    state.history = json.value("history", state.history);
    const auto& metrics = json.at("metrics");
    state.last_val_bits_per_dim =
        number_or(metrics.at("last_val_bits_per_dim"), state.last_val_bits_per_dim);
    state.best_val_bits_per_dim =
        number_or(metrics.at("best_val_bits_per_dim"), state.best_val_bits_per_dim);
    state.best_step = metrics.at("best_step").get<std::int64_t>();
    state.last_evaluated_step = metrics.at("last_evaluated_step").get<std::int64_t>();
    state.evaluations_without_best = metrics.at("evaluations_without_best").get<std::int64_t>();
    state.log_abs_det = number_or(metrics.at("log_abs_det_nats"), state.log_abs_det);
    state.log_abs_det_step = metrics.value("log_abs_det_step", state.last_evaluated_step);
    state.log_abs_det_lu_step = metrics.value("log_abs_det_lu_step", state.last_evaluated_step);
    state.unlogged_log_abs_det =
        number_or(metrics.value("unlogged_log_abs_det_nats", nlohmann::json()),
                  std::numeric_limits<double>::quiet_NaN());
    state.unlogged_transform_log_slope = metrics.value("unlogged_transform_log_slope_nats", 0.0);
    state.unlogged_log_likelihood = metrics.at("unlogged_log_likelihood_nats").get<double>();
    state.unlogged_samples = metrics.at("unlogged_samples").get<double>();
    return state;
  } catch (const nlohmann::json::exception& error) {
    throw CheckpointError(fmt::format("manifest.json: {}", error.what()));
  }
}

namespace {

/// The step that the run says it has saved, by LATEST, or by STATUS where it ended well; -1 if
/// none.
std::int64_t step_saved(const std::filesystem::path& run) {
  const auto text_of = [&](const char* name) {
    std::error_code ignored;
    return std::filesystem::exists(run / name, ignored) ? read_file(run / name) : std::string();
  };
  std::int64_t step = -1;
  const std::string latest = text_of("LATEST");
  const std::string_view prefix = "step-";
  if (latest.starts_with(prefix)) {
    std::from_chars(latest.data() + prefix.size(), latest.data() + latest.size(), step);
  }
  const nlohmann::json status = parse_json_or_discard(text_of("STATUS"));
  if (step >= 0 || !status.is_object()) return step;
  const nlohmann::json state = status.value("state", nlohmann::json());
  const nlohmann::json status_step = status.value("step", nlohmann::json());
  const bool has_saved = state == "stopped" || state == "done";
  return has_saved && status_step.is_number_integer() ? status_step.get<std::int64_t>() : -1;
}

/// Checkpoints that were there and are not (moved away, on a disk that is not mounted).
/// @throws CheckpointError if none is left: starting from scratch would lose the run.
void check_against_latest(const std::string& run, const std::vector<checkpoint::Found>& found) {
  const std::int64_t saved = step_saved(run);
  if (saved < 0) return;
  if (found.empty()) {
    throw CheckpointError(fmt::format(
        "--resume: {0} has saved a checkpoint of step {1}, but {0}/ckpt holds none; bring it back "
        "(is its disk mounted?), or start again in another --run",
        run, saved));
  }
  const auto newest = found.front().manifest.at("step").get<std::int64_t>();
  if (newest < saved) {
    log_warning(fmt::format(
        "{} has saved a checkpoint of step {}, which is not in {}/ckpt; going on from step {}", run,
        saved, run, newest));
  }
}

std::vector<checkpoint::Found> look_for_checkpoints(const TrainOptions& options) {
  if (options.resume == "never") return {};
  if (options.resume != "auto") {
    std::vector<checkpoint::Found> named{checkpoint::open(options.resume)};
    check_state(named.front());
    return named;
  }
  std::vector<std::string> rejected;
  std::vector<checkpoint::Found> found = checkpoint::list(options.run, &rejected);
  std::erase_if(found, [&](const checkpoint::Found& candidate) {
    try {
      check_state(candidate);
      return false;
    } catch (const CheckpointError& error) {
      rejected.emplace_back(error.what());
      return true;
    }
  });
  for (const std::string& reason : rejected) log_warning(reason);
  if (found.empty() && !rejected.empty()) {
    throw CheckpointError(fmt::format(
        "--resume: none of the {} checkpoints in {}/ckpt can be used; restore one from a copy, or "
        "start again in another --run",
        rejected.size(), options.run));
  }
  check_against_latest(options.run, found);
  return found;
}

std::vector<std::string> changes_since(const checkpoint::Found& found,
                                       const TrainOptions& options) {
  const auto& saved = found.manifest.at("state").at("options");
  return compare_on_resume(options, saved.get<std::map<std::string, std::string>>());
}

void check_same_run(const TrainOptions& options, const DatasetInfo& dataset,
                    const checkpoint::Found& found) {
  const auto& state = found.manifest.at("state");
  const auto& data = state.at("model").at("data");
  const auto dimension = state.at("model").at("dimension").get<Index>();
  if (dimension != dataset.dimension) {
    throw CheckpointError(
        fmt::format("{}: the model has {} dimensions, the data set {} has {}; use the data it was "
                    "trained on ('{}')",
                    found.directory.string(), dimension, options.data, dataset.dimension,
                    data.at("name").get<std::string>()));
  }
  if (data.at("identity") != dataset.identity) {
    throw CheckpointError(fmt::format(
        "{}: trained on data set '{}' ({}), but {} is '{}' ({}); use the data it was trained on",
        found.directory.string(), data.at("name").get<std::string>(),
        data.at("identity").get<std::string>(), options.data, dataset.name, dataset.identity));
  }
  changes_since(found, options);  // throws if a frozen option differs
  const bool keeps_inverse = gradient_options_of(options).needs_kept_inverse();
  if (keeps_inverse != model_keeps_inverse(found)) {
    throw UsageError(fmt::format(
        "--gradient: {} {} learned inverses, which the checkpoint {}; go on with its --gradient {} "
        "--inverse-every {}, or start a new run in another --run directory",
        options.gradient, keeps_inverse ? "needs" : "has no", keeps_inverse ? "lacks" : "holds",
        state.at("options").value("gradient", "relative"),
        state.at("options").value("inverse-every", "1")));
  }
}

}  // namespace

namespace {

/// Collective. What `look` finds on the root.
ResumePoint found_by_root(const mpi::Communicator& comm,
                          const std::function<std::vector<checkpoint::Found>()>& look) {
  std::vector<checkpoint::Found> found;
  mpi::together(comm, [&] {
    if (comm.is_root()) found = look();
  });
  found.resize(std::stoul(comm.broadcast_string(std::to_string(found.size()))));
  for (checkpoint::Found& candidate : found) {
    candidate.directory = comm.broadcast_string(candidate.directory.string());  // any bytes
    candidate.manifest =
        nlohmann::json::parse(comm.broadcast_string(json_text(candidate.manifest)));
  }
  return {found};
}

}  // namespace

nlohmann::json kept_choices(const ResumePoint& resume, int world_size) {
  const nlohmann::json none = {{"products", nullptr}, {"exchange", nullptr}};
  if (resume.candidates.empty()) return none;
  const nlohmann::json& state = resume.candidates.front().manifest.at("state");
  if (state.value("world_size", 0) != world_size || !state.contains("choices")) return none;
  return state.at("choices");
}

ResumePoint find_resume_point(const TrainOptions& options, const DatasetInfo& dataset,
                              const mpi::Communicator& comm) {
  return found_by_root(comm, [&] {
    auto candidates = look_for_checkpoints(options);
    if (!candidates.empty()) check_same_run(options, dataset, candidates.front());
    return candidates;
  });
}

void record_changed_options(const TrainOptions& options, const ResumePoint& resume, RunState& state,
                            const mpi::Communicator& comm) {
  std::vector<std::string> changes;
  mpi::together(comm, [&] {
    for (const checkpoint::Found& found : resume.candidates) {
      if (found.manifest.at("step") == state.step) changes = changes_since(found, options);
    }
  });
  for (const std::string& change : changes) log_info("resume: changed option " + change);
  if (!changes.empty()) state.record(changes);
}

ResumePoint checkpoints_of_run(const TrainOptions& options, const mpi::Communicator& comm) {
  return found_by_root(comm, [&] { return checkpoint::list(options.run); });
}

DatasetInfo checked_dataset(const TrainOptions& options, int world_size) {
  DatasetInfo dataset = read_dataset_info(options.data);
  const SplitInfo& train = dataset.split("train");
  if (train.rows == 0) {
    throw DataError(fmt::format("{}: the training split has 0 samples; prepare it again with data",
                                options.data));
  }
  if (train.rows < static_cast<std::uint64_t>(world_size)) {
    throw DataError(fmt::format("{}: {} training samples for {} ranks; start at most {} ranks",
                                options.data, train.rows, world_size, train.rows));
  }
  if (options.class_weight > 0 && !options.conditional) {
    throw UsageError(
        fmt::format("--class-weight: {} weighs the classes of --conditional; give that as well, or "
                    "leave it out",
                    options.class_weight));
  }
  if (options.conditional) {
    dataset.class_rows = count_classes(options.data, read_labels(options.data, dataset, "train"));
  }
  return dataset;
}

std::string config_text(const TrainOptions& options) {
  std::string text = std::string(config_heading) +
                     " The same run again:\n"
                     "#   relgrad train --config config.ini --run ANOTHER-DIRECTORY\n";
  std::string group;
  for (const OptionDescription& option : train_option_table()) {
    if (option.is_retired) continue;
    if (option.group != group) text += fmt::format("\n# {}\n", option.group);
    group = option.group;
    text += option_line(option.name, option.get(options));
  }
  return text;
}

}  // namespace relgrad
