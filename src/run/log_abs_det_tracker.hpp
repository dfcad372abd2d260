#pragma once
/// sum_k log|det W_k| of the present weights without an LU at every step: begun by one, followed
/// from step to step (likelihood/log_abs_det_change.hpp), begun again by every evaluation's.
#include <optional>
#include <string>

#include "evaluation/evaluation.hpp"
#include "options/options.hpp"
#include "run/resume.hpp"
#include "step/update.hpp"

namespace relgrad {

template <class T>
class LogAbsDetTracker {
 public:
  /// @throws UsageError on every rank if --track-log-det is on and cannot be.
  LogAbsDetTracker(const TrainOptions& options, const Exchange<T>& exchange, const Flow<T>& flow);

  bool tracks() const { return tracks_; }
  /// What log|det| the metrics of a run have between evaluations, in words.
  std::string in_words() const;
  /// Collective, before an update: state.log_abs_det is that of the present weights, by LU where it
  /// is not known yet. Does nothing in a run that does not track.
  void know(RunState& state, const Flow<T>& flow, const mpi::Communicator& comm) const;
  /// After an update, or a step left out (`change` 0), before state.step goes up.
  void follow(RunState& state, double change) const;
  /// Takes in an evaluation's LU value. Returns the nats that the tracked one was off by.
  std::optional<double> resynchronise(RunState& state, double log_abs_det_nats) const;

 private:
  std::string why_not_;
  bool tracks_;
  bool is_computed_ = false;  // by every backward pass
};

}  // namespace relgrad
