#pragma once
/// The loop of one training run.
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/stopwatch.hpp"
#include "evaluation/evaluation.hpp"
#include "exchange/changing_exchange.hpp"
#include "model/flow_work.hpp"
#include "run/event_log.hpp"
#include "run/fault.hpp"
#include "run/log_abs_det_tracker.hpp"
#include "run/metrics.hpp"
#include "run/progress.hpp"
#include "run/resume.hpp"
#include "run/run_checkpoints.hpp"
#include "run/run_directory.hpp"
#include "run/sample_grids.hpp"
#include "run/saver.hpp"
#include "run/step_guard.hpp"
#include "run/stop.hpp"
#include "step/step.hpp"
#include "train/dry_run.hpp"
#include "tuning/second_look.hpp"
#include "tuning/sharing.hpp"

namespace relgrad {

/// The loop of one run in one precision. Members are in the order they are built.
template <class T>
class Trainer {
 public:
  Trainer(const TrainOptions& options, const mpi::Communicator& comm, const DatasetInfo& dataset,
          RunDirectory* run, const ResumePoint& resume, Heartbeat& heartbeat);

  int run();
  /// Collective, instead of run(), without a run directory: some steps and a part of a validation,
  /// for a second or as long as the first of each takes.
  DryRun dry_run();
  /// Collective: a save under way comes to its end.
  void finish_save() { saver_.finish(); }
  /// Collective, when the data cannot be read any more: a checkpoint of the last whole step.
  void save_sound_state();
  void write_status(const std::string& state, int exit_code) const;

 private:
  bool finished() const {
    return static_cast<std::int64_t>(state_.position.epoch()) >= options_.epochs ||
           (options_.max_steps > 0 && state_.step >= options_.max_steps);
  }
  bool out_of_patience() const {
    return options_.patience > 0 && state_.evaluations_without_best >= options_.patience;
  }
  /// Reads the batch at `position` into batch_; forward pass and allreduce.
  StepStatus look(const DataPosition& position, const StepWishes& wishes);
  /// Instead of the update of a step that is not finite.
  void leave_out(const DataPosition& position, const StepStatus& status);
  /// Before a validation or save that is not part of a step: parameters that are not finite end the
  /// run or are rolled back.
  void mend_state();
  /// What is saved was seen to be finite by a look at a batch. No step comes after the last one to
  /// do that: this looks at the batch that would.
  void settle();
  /// One step. Returns the exit code if the run must end now.
  std::optional<int> step();
  /// Of the exchange that runs and of those it may change to: without those that lose track of
  /// log|det W|, where the run keeps it.
  std::vector<StepCost> costs_to_look_at() const;
  /// Collective, after a step: the exchange may change.
  void look_again(double step_seconds);
  /// What a resumed run takes instead of measuring.
  nlohmann::json choices() const;
  /// Collective. Seconds of the first step and of those after it, and their number.
  void time_steps(DryRun& found);
  /// Collective. Seconds of a validation, from a part of its samples.
  double time_validation();
  /// Bytes of parameters, moments and tables.
  double checkpoint_bytes() const;
  /// Steps between lines of metrics.jsonl.
  std::int64_t steps_per_line() const;
  Evaluation evaluate_now();
  void validate();
  /// The figure of the checkpoint of a stop; training that goes on from it does not know it.
  void validate_at_stop();
  /// Collective. Validates, then saves this step: once more where it is there without its figure.
  void save_validated(void (Trainer::*validation)());
  void end_of_epoch();
  void save_ended(const checkpoint::SaveResult& result);
  void log_step(double lr);
  /// Collective. Saves; returns the exit code, which is 0 where no rank was asked to stop.
  int stop(const StopRequest& request);
  /// Collective. @throws DiskError on every rank if the run directory is another run's now.
  void check_directory() const;
  int done();
  StepNumbers numbers(const StepStatus& status) const;
  void show_progress(bool now);

  const TrainOptions& options_;
  const mpi::Communicator& comm_;
  const DatasetInfo& dataset_;
  RunDirectory* run_;  // root only; null elsewhere
  Heartbeat& heartbeat_;
  nlohmann::json kept_;
  TrainOptions tuned_;  // what products and the exchange are chosen by
  FlowWork work_;       // what the choice of products and of the exchange goes by
  Products products_;
  SplitReader train_;
  std::optional<SplitReader> val_;
  std::vector<Label> val_labels_;
  Sharing<T> sharing_;
  Model<T> model_;
  ChangingExchange<T> exchange_;
  LogAbsDetTracker<T> log_abs_det_;
  std::unique_ptr<Update<T>> update_;
  BatchSource<T> source_;
  TrainStep<T> step_;
  ExchangeChoice exchange_choice_;  // that runs now
  SecondLook second_look_;
  RunCheckpoints<T> checkpoints_;
  Saver<T> saver_;
  StepGuard<T> guard_;
  Faults<T> faults_;
  std::optional<EventLog> events_;  // root, with --tensorboard
  Metrics metrics_;
  SampleGrids<T> grids_;
  RunProgress progress_;

  const PreparedBatch<T>* batch_ = nullptr;  // the last one looked at
  RunState state_;
  double total_samples_ = 0;
  Stopwatch since_start_;
  double longest_validation_ = 0;  // seconds
  StopRequests stops_;
};

extern template class Trainer<float>;
extern template class Trainer<double>;

}  // namespace relgrad
