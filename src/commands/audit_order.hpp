#pragma once
/// Which samples each step of a run consumes: computed by the code that training takes its batches
/// from, without training.
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "step/batches.hpp"

namespace relgrad {

struct AuditOrderOptions {
  std::string run;         // run directory: its newest checkpoint, or
  std::string checkpoint;  // a checkpoint directory
  std::string data;        // data set directory
  std::int64_t from_step = 0;
  std::int64_t to_step = 1;  // not included
  std::int64_t ranks = 1;    // 1: the global batch
  bool json = false;
};

/// The order of a run's samples: seed, rows of the training split, and the batch size from each of
/// these steps on.
struct RunOrder {
  struct Stretch {
    std::int64_t step = 0;
    std::uint64_t samples_consumed = 0;
    std::int64_t batch_size = 0;
  };
  std::uint64_t seed = 0;
  std::uint64_t rows = 0;
  std::vector<Stretch> stretches;  // by step; what is before the first is not known
};

/// Of the "state" in a manifest: its options, and the batch sizes before in its history.
RunOrder order_of_run(const nlohmann::json& state);

/// Calls work(step, position, batch_size) for the steps [from, to).
/// @throws CheckpointError if the order before some step is not known and `from` is before it.
void for_each_step(const RunOrder& order, std::int64_t from, std::int64_t to,
                   const std::function<void(std::int64_t step, const DataPosition& position,
                                            std::int64_t batch_size)>& work);

/// Prints the rows of the training split, a line for each step (and rank), to standard output.
/// Returns the exit code of the process.
int audit_order(const AuditOrderOptions& options);

}  // namespace relgrad
