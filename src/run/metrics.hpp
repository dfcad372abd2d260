#pragma once
/// metrics.jsonl: one JSON object a line, written by the root; what they say is summed over ranks.
#include <chrono>
#include <cstdint>
#include <optional>

#include "evaluation/evaluation.hpp"
#include "evaluation/reconstruction.hpp"
#include "relgrad/mpi/communicator.hpp"
#include "run/event_log.hpp"
#include "run/resume.hpp"
#include "run/run_directory.hpp"
#include "step/step.hpp"

namespace relgrad {

class Metrics {
 public:
  /// @param run  null on ranks that do not write
  /// @param dimension  D
  /// @param is_logit   the transform is logit, whose log-slope is what logit-space nats leave out
  Metrics(RunDirectory* run, const mpi::Communicator& comm, Index dimension, bool is_logit);

  /// Every line from now on also goes to `events`, which must outlive this.
  void also_write_to(EventLog& events) { events_ = &events; }
  void add_checkpoint_seconds(double seconds) { checkpoint_seconds_ += seconds; }
  /// Time since the last line that is not the steps'.
  void leave_out_seconds(double seconds);
  /// A line of kind "train" about the steps since the last one: takes the unlogged sums of `state`.
  /// Seconds are the root's.
  /// @param reconstruction  of learned inverses; nothing without them
  void write_step(RunState& state, double lr, const StepSeconds& seconds, std::int64_t bytes_sent,
                  const std::optional<Reconstruction>& reconstruction = {});
  /// A line of kind "val": the exact log-likelihood, log|det| included.
  /// @param drift  nats that a tracked log|det| was off by; nothing where it was not tracked
  /// @param at_stop  marks a line that a resume drops
  void write_evaluation(const RunState& state, const Evaluation& evaluation,
                        const std::optional<double>& drift, bool at_stop = false);

  /// Of the last line of kind "train": mean nats per sample, with the log|det| that the line names;
  /// NaN before, and where there is none.
  double last_log_likelihood() const { return last_log_likelihood_; }
  double last_samples_per_s() const { return last_samples_per_s_; }

 private:
  void append(const nlohmann::json& line);

  RunDirectory* run_;
  EventLog* events_ = nullptr;
  int world_size_;
  Index dimension_;
  bool is_logit_;
  double checkpoint_seconds_ = 0;
  double last_log_likelihood_;
  double last_samples_per_s_ = 0;
  std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
};

}  // namespace relgrad
