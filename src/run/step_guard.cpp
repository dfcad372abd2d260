#include "run/step_guard.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "options/option_table.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/files.hpp"
#include "relgrad/core/json.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/mpi/agreement.hpp"
#include "run/finite.hpp"

namespace relgrad {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr std::size_t most_samples_of_a_rank = 100;  // in a report
constexpr std::size_t most_directories = 3;
constexpr std::string_view prefix = "bad-step-";

/// Keeps the newest bad-step-N; touches nothing else.
void remove_older_directories(const fs::path& run) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(run)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix)) continue;
    const std::string digits = name.substr(prefix.size());
    if (digits.empty() || digits.find_first_not_of("0123456789") != std::string::npos) continue;
    found.push_back(entry.path());
  }
  std::ranges::sort(found, {}, [](const fs::path& path) { return fs::last_write_time(path); });
  if (found.size() <= most_directories) return;
  found.resize(found.size() - most_directories);
  for (const fs::path& path : found) fs::remove_all(path);
}

/// "rows 5, 17 of rank 1", or the tensors that are not finite; of the ranks' reports.
std::string cause_of(const std::vector<json>& reports, double nonfinite, double samples) {
  for (const json& report : reports) {
    if (report.at("nonfinite_tensors").empty()) continue;
    return fmt::format("{} is not finite on rank {}",
                       report.at("nonfinite_tensors").front().get<std::string>(),
                       report.at("rank").get<int>());
  }
  std::string rows;
  for (const json& report : reports) {
    for (const json& sample : report.at("samples")) {
      if (rows.size() > 30) break;
      rows += fmt::format("{}{}", rows.empty() ? "" : ", ", sample.at("row").get<std::uint64_t>());
    }
  }
  return fmt::format(
      "the log-likelihood of {:.0f} of {:.0f} samples is not finite (row{} {} of the training "
      "split{})",
      nonfinite, samples, nonfinite > 1 ? "s" : "", rows, rows.size() > 30 ? ", ..." : "");
}

}  // namespace

NonfinitePolicy::Action NonfinitePolicy::decide(bool parameters_are_finite) {
  reason_.clear();
  if (wanted_ == "rollback") {
    if (++rollbacks_since_save_ <= most_rollbacks_without_save) return Action::rollback;
    reason_ =
        fmt::format("after {} rollbacks without a new checkpoint", most_rollbacks_without_save);
  } else if (wanted_ == "skip") {
    if (!parameters_are_finite) {
      reason_ = "and leaving batches out cannot mend it";
    } else if (++skips_in_a_row_ < most_skips_in_a_row) {
      return Action::skip;
    } else {
      reason_ = fmt::format("the {}th step in a row", skips_in_a_row_);
    }
  }
  return Action::stop;
}

template <class T>
json nonfinite_samples(Workspace<T>& workspace, const Flow<T>& flow,
                       std::span<const std::uint64_t> rows, std::size_t most) {
  const auto place_of = [&](Index n) -> std::string {
    if (!workspace.input().col(n).allFinite()) return "input";
    for (std::size_t i = 0; i < flow.layer_count(); ++i) {
      if (workspace.value(i).col(n).allFinite()) continue;
      return fmt::format("layer {}: {}", i, flow.layer(i).kind());
    }
    return flow.row_group() == nullptr ? "log-slopes or latent density"
                                       : "log-slopes, latent density or coordinates of other ranks";
  };
  json samples = json::array();
  const std::span<const double> nats = workspace.own_log_likelihood();
  for (std::size_t n = 0; n < nats.size() && samples.size() < most; ++n) {
    if (std::isfinite(nats[n])) continue;
    const Index in_batch = workspace.own_samples().begin + static_cast<Index>(n);
    samples.push_back({{"row", rows[n]},
                       {"log_likelihood_nats", number_or_word(nats[n])},
                       {"first_not_finite", place_of(in_batch)}});
  }
  return samples;
}

template <class T>
StepGuard<T>::StepGuard(const TrainOptions& options, Model<T>& model, const Exchange<T>& exchange,
                        RunCheckpoints<T>& checkpoints, const mpi::Communicator& comm)
    : options_(&options),
      model_(&model),
      exchange_(&exchange),
      checkpoints_(&checkpoints),
      comm_(&comm),
      policy_(options.on_nonfinite) {}

template <class T>
bool StepGuard<T>::state_is_finite() const {
  std::int64_t finite = 1;
  for_each_tensor(model_->flow->parameters(), *exchange_,
                  [&](const std::string&, std::span<const T> values) {
                    if (!all_finite(values)) finite = 0;
                  });
  comm_->allreduce_min(std::span(&finite, 1));
  return finite == 1;
}

template <class T>
json StepGuard<T>::own_report(const SeenStep<T>& seen) const {
  json report = {{"rank", comm_->rank()},
                 {"host", mpi::host_name()},
                 {"samples", json::array()},
                 {"nonfinite_tensors", json::array()}};
  if (seen.workspace != nullptr) {
    std::vector<std::uint64_t> rows;
    rows_of_part(seen.position, options_->seed, options_->batch_size, comm_->rank(),
                 comm_->world_size(), rows);
    report["samples"] =
        nonfinite_samples(*seen.workspace, *model_->flow, rows, most_samples_of_a_rank);
  }
  for_each_tensor(model_->flow->parameters(), *exchange_,
                  [&](const std::string& name, std::span<const T> values) {
                    if (!all_finite(values)) report["nonfinite_tensors"].push_back(name);
                  });
  return report;
}

/// Returns the directory, or empty if it could not be written: that is warned of, and the run does
/// what it would have done.
template <class T>
std::string StepGuard<T>::write(const json& report, const RunState& state) {
  const fs::path run = options_->run;
  const fs::path directory = run / fmt::format("{}{:09}", prefix, state.step);
  const auto trouble = mpi::trouble_in([&] {
    if (!comm_->is_root()) return;
    checkpoints_->check_may_write();
    fs::create_directories(directory);
    replace_file(directory / "report.json", json_text(report, 1) + "\n");
  });
  const bool written = comm_->broadcast_string(trouble ? "" : "yes") == "yes";
  std::string problem = trouble ? trouble->what() : "";
  // Steps left out one after another have the same parameters: those of the first are enough.
  if (written && policy_.skips_in_a_row() <= 1) {
    problem = checkpoints_->save_aside(directory, state).trouble;
  }
  const auto tidying = mpi::trouble_in([&] {
    if (comm_->is_root() && written) remove_older_directories(run);
  });
  if (problem.empty() && tidying) problem = tidying->what();
  if (!problem.empty()) log_warning(fmt::format("{}: {}", directory.string(), problem));
  return written ? directory.string() : "";
}

template <class T>
json StepGuard<T>::report_of(const std::vector<json>& of_ranks, const std::string& cause,
                             const SeenStep<T>& seen, const RunState& state) const {
  json report = {{"step", state.step},
                 {"epoch", state.epochs_done()},
                 {"samples_consumed", state.position.samples_consumed},
                 {"updates", state.updates},
                 {"cause", cause},
                 {"nonfinite", seen.nonfinite},
                 {"samples", seen.samples},
                 {"lr", seen.lr},
                 {"ranks", json::array()},
                 {"tensors", json::array()},  // moments: those of rank 0
                 {"options", to_map(*options_)}};
  for (const json& of_rank : of_ranks) {
    if (of_rank.at("samples").empty() && of_rank.at("nonfinite_tensors").empty()) continue;
    report["ranks"].push_back(of_rank);
  }
  for_each_tensor(model_->flow->parameters(), *exchange_,
                  [&](const std::string& name, std::span<const T> values) {
                    report["tensors"].push_back(range_of(name, values));
                  });
  return report;
}

template <class T>
void StepGuard<T>::leave_out(const SeenStep<T>& seen, RunState& state) {
  std::vector<json> reports;
  bool parameters_are_finite = true;
  for (const std::string& text : comm_->allgather_strings(json_text(own_report(seen)))) {
    reports.push_back(json::parse(text));
    if (!reports.back().at("nonfinite_tensors").empty()) parameters_are_finite = false;
  }
  const std::string cause = cause_of(reports, seen.nonfinite, seen.samples);
  const NonfinitePolicy::Action action = policy_.decide(parameters_are_finite);
  const std::string directory =
      write(comm_->is_root() ? report_of(reports, cause, seen, state) : json(), state);
  const std::string where = directory.empty() ? "" : fmt::format("; see {}", directory);

  switch (action) {
    case NonfinitePolicy::Action::stop:
      mpi::throw_on_all_ranks(DivergedError(fmt::format(
          "step {}: {}{}{}; {} with a smaller --lr (now {}), with --clip-norm, or with "
          "--on-nonfinite skip or rollback",
          state.step, cause, policy_.reason().empty() ? "" : ", " + policy_.reason(), where,
          checkpoints_of_run(*options_, *comm_).candidates.empty()
              ? "there is no checkpoint yet: start again in another --run"
              : "earlier checkpoints are kept: resume",
          options_->lr)));
    case NonfinitePolicy::Action::skip:
      // Each of the first, then one of a hundred: a run that goes on for days must not drown.
      if (++state.skipped_steps <= 3 || state.skipped_steps % 100 == 0) {
        log_warning(fmt::format("step {} is left out: {}; {} left out so far{}", state.step, cause,
                                state.skipped_steps, where));
      }
      return;
    case NonfinitePolicy::Action::rollback:
      log_warning(fmt::format("step {}: {}{}; rolling back to the newest checkpoint", state.step,
                              cause, where));
      roll_back(state);
      return;
  }
}

template <class T>
void StepGuard<T>::roll_back(RunState& state) {
  const ResumePoint saved = checkpoints_of_run(*options_, *comm_);
  if (saved.candidates.empty()) {
    mpi::throw_on_all_ranks(DivergedError(fmt::format(
        "step {}: there is no checkpoint to roll back to yet; start again with a smaller --lr "
        "(now {}), with --clip-norm or with a smaller --save-every-seconds",
        state.step, options_->lr)));
  }
  const RunState loaded = checkpoints_->load(saved);
  state.updates = loaded.updates;
  // the weights' log|det|: as far as it was known when they were saved
  state.log_abs_det = loaded.log_abs_det;
  state.log_abs_det_step = loaded.log_abs_det_step == loaded.step ? state.step : -1;
  state.log_abs_det_lu_step = loaded.log_abs_det_lu_step;
  ++state.rollbacks;
  state.record({fmt::format("rolled back to step {}", loaded.step)});
}

template class StepGuard<float>;
template class StepGuard<double>;
template json nonfinite_samples(Workspace<float>&, const Flow<float>&,
                                std::span<const std::uint64_t>, std::size_t);
template json nonfinite_samples(Workspace<double>&, const Flow<double>&,
                                std::span<const std::uint64_t>, std::size_t);

}  // namespace relgrad
