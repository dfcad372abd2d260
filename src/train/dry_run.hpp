#pragma once
/// What `relgrad train --dry-run` says: what the run would take.
#include <cstdint>
#include <string>
#include <vector>

#include "options/options.hpp"

namespace relgrad {

struct DryRun {
  std::int64_t parameters = 0;
  std::vector<double> peak_bytes;  // of every rank
  double available_bytes = 0;      // beyond that, on the machine of rank 0
  double first_step_s = 0;
  double step_s = 0;
  std::int64_t timed_steps = 0;  // after the first
  double steps_per_epoch = 0;
  double steps = 0;         // left to do
  double validation_s = 0;  // of one; 0: no validation split
  double validations = 0;   // left to do
  double checkpoint_bytes = 0;
  double log_lines = 0;  // of metrics.jsonl
  bool draws_grids = false;
};

/// Several lines for people.
std::string describe(const DryRun& found, const TrainOptions& options);

}  // namespace relgrad
