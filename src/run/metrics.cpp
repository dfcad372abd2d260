#include "run/metrics.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <utility>

#include "core/available_memory.hpp"
#include "relgrad/likelihood/log_likelihood.hpp"

namespace relgrad {

using nlohmann::json;

namespace {

/// Which log|det| the numbers of a line contain.
std::string log_abs_det_label(const RunState& state) {
  if (!std::isfinite(state.log_abs_det)) return "none";
  if (state.log_abs_det_step == state.step) {
    return fmt::format("exact, tracked since step {}", state.log_abs_det_lu_step);
  }
  return fmt::format("of step {}", state.log_abs_det_lu_step);
}

}  // namespace

Metrics::Metrics(RunDirectory* run, const mpi::Communicator& comm, Index dimension, bool is_logit)
    : run_(run),
      world_size_(comm.world_size()),
      dimension_(dimension),
      is_logit_(is_logit),
      last_log_likelihood_(std::numeric_limits<double>::quiet_NaN()) {}

void Metrics::write_step(RunState& state, double lr, const StepSeconds& seconds,
                         std::int64_t bytes_sent,
                         const std::optional<Reconstruction>& reconstruction) {
  const auto now = std::chrono::steady_clock::now();
  const double wall = std::chrono::duration<double>(now - std::exchange(since_, now)).count();
  const double samples = std::exchange(state.unlogged_samples, 0.0);
  // 0 / 0, not a number: no step since the last line
  const double without = std::exchange(state.unlogged_log_likelihood, 0.0) / samples;
  const double log_abs_det = std::exchange(state.unlogged_log_abs_det, 0.0) / samples;
  const double log_slope = std::exchange(state.unlogged_transform_log_slope, 0.0) / samples;
  last_log_likelihood_ = without + log_abs_det;
  last_samples_per_s_ = samples / wall;
  const double checkpoint = std::exchange(checkpoint_seconds_, 0.0);
  if (run_ == nullptr) return;
  const double parts = seconds.data + seconds.forward + seconds.backward + seconds.exchange +
                       seconds.wait + seconds.optimizer + checkpoint;
  const json logit_nats = is_logit_ ? json(last_log_likelihood_ - log_slope) : json(nullptr);
  json line = {{"kind", "train"},
               {"step", state.step},
               {"epoch", state.epochs_done()},
               {"samples", state.position.samples_consumed},
               {"train_log_likelihood_without_log_abs_det_nats", without},
               {"log_abs_det_nats", log_abs_det},
               {"log_abs_det", log_abs_det_label(state)},
               {"train_log_likelihood_pixel_nats", last_log_likelihood_},
               {"train_log_likelihood_logit_nats", logit_nats},
               {"train_bits_per_dim", bits_per_dim(last_log_likelihood_, dimension_)},
               {"lr", lr},
               {"skipped_steps", state.skipped_steps},
               {"rollbacks", state.rollbacks},
               {"samples_per_s", last_samples_per_s_},
               {"seconds", wall},
               {"seconds_by_part",
                {{"data", seconds.data},
                 {"forward", seconds.forward},
                 {"backward", seconds.backward},
                 {"exchange", seconds.exchange},
                 {"exposed_exchange", seconds.exchange + seconds.wait},
                 {"optimizer", seconds.optimizer},
                 {"checkpoint", checkpoint},
                 {"other", wall - parts}}},
               {"bytes_sent", bytes_sent},
               {"peak_memory_mib", static_cast<double>(peak_memory()) / (1024.0 * 1024.0)},
               {"world_size", world_size_}};
  if (reconstruction) {
    line["reconstruction_error"] = reconstruction->error;
    line["reconstruction_weight"] = reconstruction->weight;
  }
  append(line);
}

void Metrics::append(const json& line) {
  run_->append_metrics(line);
  if (events_ != nullptr) events_->add_line(line);
}

void Metrics::leave_out_seconds(double seconds) {
  using Clock = std::chrono::steady_clock;
  since_ += std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

void Metrics::write_evaluation(const RunState& state, const Evaluation& evaluation,
                               const std::optional<double>& drift, bool at_stop) {
  // The next step line is about steps alone, those before this evaluation included.
  leave_out_seconds(evaluation.seconds);
  if (run_ == nullptr) return;
  json line = to_json(evaluation, state.step);
  line.erase("confusion");
  line["kind"] = evaluation.split;
  line["epoch"] = state.epochs_done();
  line["samples_consumed"] = state.position.samples_consumed;
  line["val_bits_per_dim"] = evaluation.bits_per_dim;
  if (drift) line["log_abs_det_drift_nats"] = *drift;
  if (at_stop) line["at_stop"] = true;
  append(line);
}

}  // namespace relgrad
