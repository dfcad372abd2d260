#pragma once
/// What happens to a step that is not finite: its update is never made, what a researcher needs to
/// find the cause is written to RUN/bad-step-N, and the run stops, leaves the batch out or rolls
/// back. Every decision is the same on all ranks.
#include <string>
#include <utility>

#include "relgrad/model/workspace.hpp"
#include "run/resume.hpp"
#include "run/run_checkpoints.hpp"

namespace relgrad {

/// Decides by --on-nonfinite and counts, so that a run that will not recover ends.
class NonfinitePolicy {
 public:
  static constexpr int most_skips_in_a_row = 10;
  static constexpr int most_rollbacks_without_save = 3;
  enum class Action { stop, skip, rollback };

  /// @param on_nonfinite  stop | skip | rollback
  explicit NonfinitePolicy(std::string on_nonfinite) : wanted_(std::move(on_nonfinite)) {}
  /// What to do about one more such step; counts it. Leaving out a batch does not help against
  /// parameters that are not finite themselves.
  Action decide(bool parameters_are_finite);
  /// Why the last decision was to stop, where something else was wanted; else empty.
  const std::string& reason() const { return reason_; }
  void saw_finite_step() { skips_in_a_row_ = 0; }
  void saved() { rollbacks_since_save_ = 0; }
  int skips_in_a_row() const { return skips_in_a_row_; }

 private:
  std::string wanted_;
  std::string reason_;
  int skips_in_a_row_ = 0;
  int rollbacks_since_save_ = 0;
};

/// A step as it was seen; all but the numbers are null when the state itself was found not finite,
/// outside a step.
template <class T>
struct SeenStep {
  Workspace<T>* workspace = nullptr;  // after its forward pass
  DataPosition position;              // of the batch
  double nonfinite = 0;               // samples, of all ranks
  double samples = 0;
  double lr = 0;
};

template <class T>
class StepGuard {
 public:
  /// Everything named here must outlive it.
  StepGuard(const TrainOptions& options, Model<T>& model, const Exchange<T>& exchange,
            RunCheckpoints<T>& checkpoints, const mpi::Communicator& comm);

  /// Collective. Whether parameters and moments are finite on every rank: asked before every save,
  /// so that a checkpoint is always one to come back to.
  bool state_is_finite() const;
  /// Collective. Writes RUN/bad-step-N, N = state.step, and keeps the last 3 of those. Then returns
  /// for the run to go on after this batch, without its update, having brought weights, moments and
  /// state.updates back from the newest checkpoint if it rolled back.
  /// @throws DivergedError if the run must end.
  void leave_out(const SeenStep<T>& seen, RunState& state);
  void saw_finite_step() { policy_.saw_finite_step(); }
  void saved() { policy_.saved(); }

 private:
  nlohmann::json own_report(const SeenStep<T>& seen) const;
  nlohmann::json report_of(const std::vector<nlohmann::json>& of_ranks, const std::string& cause,
                           const SeenStep<T>& seen, const RunState& state) const;
  std::string write(const nlohmann::json& report, const RunState& state);
  void roll_back(RunState& state);

  const TrainOptions* options_;
  Model<T>* model_;
  const Exchange<T>* exchange_;
  RunCheckpoints<T>* checkpoints_;
  const mpi::Communicator* comm_;
  NonfinitePolicy policy_;
};

/// The samples of a forward pass whose log-likelihood is not finite, at most `most`: row of the
/// training split, log-likelihood, and where a value that is not finite came first: "input", the
/// parameter-free "layer 1: spline", "log-slopes" or "latent density".
template <class T>
nlohmann::json nonfinite_samples(Workspace<T>& workspace, const Flow<T>& flow,
                                 std::span<const std::uint64_t> rows, std::size_t most);

}  // namespace relgrad
