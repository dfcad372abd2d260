#pragma once
/// Where a run is, and how it comes back: the part of a checkpoint that is not tensors.
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "options/options.hpp"
#include "relgrad/checkpoint/checkpoint.hpp"
#include "relgrad/data/dataset.hpp"
#include "relgrad/mpi/communicator.hpp"
#include "step/batches.hpp"

namespace relgrad {

struct RunState {
  std::int64_t step = 0;  // batches taken; that of step n never depends on what went wrong before
  DataPosition position;
  std::int64_t updates = 0;        // that made the weights and moments: without what was left out
  std::int64_t skipped_steps = 0;  // left out because they were not finite, --on-nonfinite skip
  std::int64_t rollbacks = 0;
  double last_val_bits_per_dim = std::numeric_limits<double>::quiet_NaN();
  double best_val_bits_per_dim = std::numeric_limits<double>::infinity();
  std::int64_t best_step = -1;
  std::int64_t last_evaluated_step = -1;
  /// Validation of this very state at a stop, which the training that goes on knows nothing of: a
  /// resumed run must be the one that never stopped.
  std::optional<double> val_bits_per_dim_at_stop;
  std::int64_t evaluations_without_best = 0;
  /// sum_k log|det W_k| in nats of the weights of step log_abs_det_step: the present one where it
  /// is tracked, else that of the last factorisation, at step log_abs_det_lu_step.
  double log_abs_det = std::numeric_limits<double>::quiet_NaN();
  std::int64_t log_abs_det_step = -1;
  std::int64_t log_abs_det_lu_step = -1;
  double seconds = 0;  // of training, over all starts
  // Sums over the steps since the last line of kind "train" in metrics.jsonl: a resumed run's next
  // line is the one it would have been.
  double unlogged_log_likelihood = 0;  // nats, without log|det|
  double unlogged_log_abs_det = 0;     // log_abs_det once for every sample
  double unlogged_transform_log_slope = 0;
  double unlogged_samples = 0;
  /// What happened to the run that its options do not tell: {step, samples_consumed, changes}, the
  /// changes in words: "lr: 0.001 -> 0.0005", "rolled back to step 14".
  nlohmann::json history = nlohmann::json::array();
  void record(const std::vector<std::string>& changes);
  /// Takes in a step's sums before its update: nats without log|det|, their part that is the
  /// transform's, and samples.
  void add_to_next_line(double log_likelihood, double transform_log_slope, double samples);
  /// Takes in a factorisation of the weights of this step.
  void record_log_abs_det(double log_abs_det_nats);
  /// Takes in a validation at this step; one that is not finite counts as the worst there is.
  void record_validation(double val_bits_per_dim);
  /// Of this very state, if it was validated and the figure is finite.
  std::optional<double> val_bits_per_dim() const;
  /// The best that a checkpoint may have; infinity before the first.
  double best_known_bits_per_dim() const;
  double epochs_done() const {
    return static_cast<double>(position.samples_consumed) / static_cast<double>(position.rows);
  }
};

/// "state" of a manifest: step, epoch, samples_consumed, metrics.
nlohmann::json to_json(const RunState& state);
/// @throws CheckpointError if a field is missing.
RunState run_state_from(const nlohmann::json& json);

/// What every reader of a checkpoint relies on in manifest["state"]: that it is there, of its type
/// and in its range. @throws CheckpointError naming the field.
void check_state(const checkpoint::Found& found);

/// Checkpoints a run may continue from, newest first; empty: start from scratch.
struct ResumePoint {
  std::vector<checkpoint::Found> candidates;
};

/// "choices" of the newest candidate, what its start chose by measurement: {products, exchange}.
/// Nulls where there is none, or it ran on another number of ranks.
nlohmann::json kept_choices(const ResumePoint& resume, int world_size);

/// Collective; the root looks, all ranks know.
/// @throws UsageError on a changed frozen option; CheckpointError if there are checkpoints but none
/// can be used (starting from scratch would lose the run), or the data set is another one.
ResumePoint find_resume_point(const TrainOptions& options, const DatasetInfo& dataset,
                              const mpi::Communicator& comm);

/// Collective. After `state` was loaded from one of the candidates: prints the resumable options
/// that differ from that checkpoint's (old -> new) and keeps them in its history.
/// @throws UsageError on every rank if a frozen one differs.
void record_changed_options(const TrainOptions& options, const ResumePoint& resume, RunState& state,
                            const mpi::Communicator& comm);

/// Collective; the root looks, all ranks know. Every usable checkpoint of this run, newest first.
ResumePoint checkpoints_of_run(const TrainOptions& options, const mpi::Communicator& comm);

/// dataset.json of --data, fit for training on this many ranks.
/// @throws DataError if there is no training split, or fewer samples than ranks.
DatasetInfo checked_dataset(const TrainOptions& options, int world_size);

/// How config.ini begins.
inline constexpr std::string_view config_heading = "# Every option of this run as resolved.";
/// config.ini: every option as resolved, by groups, with its meaning; --config reads it back.
std::string config_text(const TrainOptions& options);

}  // namespace relgrad
