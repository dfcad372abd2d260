#pragma once
/// One step of training: forward, one small allreduce for every decision, backward, update.
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "core/heartbeat.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/gradient/backward.hpp"
#include "relgrad/mpi/communicator.hpp"
#include "step/batches.hpp"
#include "step/update.hpp"

namespace relgrad {

/// What all ranks know after a step's allreduce: sums over ranks. Nothing but doubles.
struct StepStatus {
  double log_likelihood = 0;       // nats, data units, WITHOUT sum_k log|det W_k|
  double transform_log_slope = 0;  // the part of log_likelihood that is the fixed transform's
  double samples = 0;
  double nonfinite = 0;  // samples
  double stop = 0;       // ranks that were asked to stop
  double save = 0;       // > 0: the root wants a checkpoint
  double written = 0;    // ranks whose part of the save under way is on disk
  double trouble = 0;    // ranks whose local work failed
};

/// What this rank brings to a step's allreduce beside its batch.
struct StepWishes {
  bool stop = false;
  bool save = false;
  bool written = false;
};

/// Seconds since last taken; they add up.
struct StepSeconds {
  double data = 0, forward = 0, wait = 0;
  double backward = 0;  // the backward pass without exchange and optimizer
  double exchange = 0;  // in collectives
  double optimizer = 0;
};

template <class T>
class TrainStep {
 public:
  TrainStep(Flow<T>& flow, Index capacity, const GradientOptions& gradient, Exchange<T>& exchange,
            Update<T>& update, const mpi::Communicator& comm);

  /// From now on tells `heartbeat` where it is; that must outlive it.
  void watch(Heartbeat& heartbeat) { heartbeat_ = &heartbeat; }
  /// Forward pass of this rank's part and the allreduce. `batch` is null if it could not be had:
  /// then nothing is computed here, nor by the ranks that share W with this one.
  StepStatus look(const PreparedBatch<T>* batch, const StepWishes& wishes);
  /// Backward pass and update, after a look() that found everything in order.
  void move(const StepNumbers& numbers);
  /// After look(): what its forward pass computed.
  Workspace<T>& workspace() { return workspace_; }
  /// After move(): by how much it changed the sum of sample-independent log|det|, nats; not a
  /// number where a layer does not know.
  double log_abs_det_change() const;
  /// The sum of sample-independent log|det| before the last move(), nats; none where a layer does
  /// not know it.
  std::optional<double> log_abs_det() const { return gradient_.log_abs_det(); }
  void add_data_seconds(double seconds) { seconds_.data += seconds; }
  StepSeconds take_seconds();
  std::int64_t take_bytes_sent() { return std::exchange(bytes_sent_, 0); }

 private:
  /// What the exchange took since it was last asked; counts it.
  double take_exchange_seconds();

  Flow<T>* flow_;
  Workspace<T> workspace_;
  FlowGradient<T> gradient_;
  Exchange<T>* exchange_;
  Update<T>* update_;
  const mpi::Communicator* comm_;
  Heartbeat unwatched_;
  Heartbeat* heartbeat_ = &unwatched_;
  StepSeconds seconds_;
  std::int64_t bytes_sent_ = 0;
  double optimizer_seconds_before_ = 0;
};

}  // namespace relgrad
