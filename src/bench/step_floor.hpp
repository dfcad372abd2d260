#pragma once
/// The shortest time a step could take on this machine, from what it must compute and move.
#include <nlohmann/json.hpp>
#include <vector>

#include "core/spread.hpp"
#include "linalg/machine_speed.hpp"
#include "model/flow_work.hpp"

namespace relgrad {

/// Work of one rank in a step, B samples on this rank:
///   flops  8 B D^2 a full layer, 6 B D^2 the first (MATH section 2); three times those of the
///          forward pass of every other layer, element-wise ones not counted
///   bytes  three reads of W, 12 D^2, and the optimizer's share: gradient, W and moments read, W
///          and moments written: 28 D^2 for Adam, 20 for momentum, 12 for sgd; values and moments
///          of all other parameters, read and written
///   fused  what a step moves at least that keeps the gradient and the third read of W in cache:
///          8 D^2 and 24, 16, 8 D^2
struct StepWork {
  double flops = 0;
  double bytes = 0;
  double fused_bytes = 0;
};
/// @param moments, moments_of_whole  buffers that the optimizer keeps for weights of full layers
///                                   and for all other parameters: 2 for Adam
/// @param ranks  that share samples and, where the exchange shards it, the optimizer's work of full
///               layers; counted as if it did
StepWork work_of_step(const FlowWork& flow, double samples, int moments, int moments_of_whole,
                      int ranks);

/// Measures what the machine gives, turn by turn with the steps.
class FloorMeter {
 public:
  void measure();
  /// floor = max(flops / peak, bytes / bandwidth), in ms, from the medians; with the ratio of the
  /// step to it and to the floor of fused bytes.
  nlohmann::json report(const StepWork& work, const Spread& step_milliseconds) const;

 private:
  StreamingBandwidth bandwidth_;
  std::vector<double> flops_per_s_;
  std::vector<double> bytes_per_s_;
};

nlohmann::json to_json(const Spread& spread, double unit);

}  // namespace relgrad
