#pragma once
/// When a run saves, and what it says of it: at most one save is under way, beside training.
#include <functional>
#include <optional>
#include <utility>

#include "core/stopwatch.hpp"
#include "run/run_checkpoints.hpp"
#include "run/save_report.hpp"
#include "run/watchdog.hpp"

namespace relgrad {

template <class T>
class Saver {
 public:
  /// @param ended  told of every save that ended, well or not, before anything is logged
  Saver(const TrainOptions& options, RunCheckpoints<T>& checkpoints, Heartbeat& heartbeat,
        std::function<void(const checkpoint::SaveResult&)> ended);

  /// The interval has passed and no save is under way; in a run without a checkpoint, at once: its
  /// start may be its best state, and is what to roll back to.
  bool is_due() const;
  /// This rank has nothing more to write of the save under way: when no rank has, finish() is due.
  bool is_written() const { return under_way_ && under_way_->is_written(); }
  /// Of the newest checkpoint; -1 without one.
  std::int64_t last_step() const { return last_step_; }
  void resumed_from(std::int64_t step) {
    last_step_ = step;
    has_begun_ = true;
  }

  /// Collective. `state` is what will be saved. Waits for a save under way, begins another.
  void begin(const RunState& state);
  /// Collective. Waits for the save under way, if any. One that fails is logged.
  void finish();
  /// Collective. Returns when there is a checkpoint of `state`. @throws DiskError on all ranks.
  void save_now(const RunState& state);
  /// Collective. The checkpoint of this step, which exists, once more with what `state` knows now.
  /// One that fails is logged.
  void save_again(const RunState& state);
  /// Seconds the calls above have taken, since last asked.
  double take_seconds() { return std::exchange(seconds_, 0.0); }

 private:
  void conclude(bool must);

  const TrainOptions* options_;
  RunCheckpoints<T>* checkpoints_;
  Heartbeat* heartbeat_;
  std::function<void(const checkpoint::SaveResult&)> ended_;
  std::optional<checkpoint::Save> under_way_;
  std::int64_t last_step_ = -1;
  bool has_begun_ = false;
  Stopwatch since_last_;
  double seconds_ = 0;
  SaveReport report_;
};

}  // namespace relgrad
