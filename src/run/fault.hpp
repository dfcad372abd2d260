#pragma once
/// Faults on demand, for tests: RELGRAD_FAULT, a list separated by commas of
///   nan:STEP[:RANK]    one sample of this rank's part of the batch is NaN at this step
///   hang:STEP[:RANK]   this rank sleeps for ever before this step
///   data:STEP[:RANK]   this rank cannot read its part of the batch
/// STEP is the number of batches taken before, RANK 0 unless given; each happens once a process.
/// Items of other kinds (checkpoint/fault.hpp) are passed over. Only in builds with tests
/// (RELGRAD_FAULTS).
#include <cstdint>
#include <string>
#include <vector>

#include "step/batches.hpp"

namespace relgrad {

template <class T>
class Faults {
 public:
  /// @throws UsageError for an item of these kinds that cannot be read.
  Faults(const char* wanted, int rank);
  /// From the environment.
  static Faults of_rank(int rank);

  /// @throws DataError if asked to.
  void break_data(std::int64_t step);
  /// Sleeps for ever if asked to.
  void hang(std::int64_t step);
  /// `batch`, or a copy of it with a NaN, which lives until the next call.
  const PreparedBatch<T>* poisoned(std::int64_t step, const PreparedBatch<T>* batch);

 private:
  struct Fault {
    std::string kind;
    std::int64_t step;
  };
  bool take(const std::string& kind, std::int64_t step);

  std::vector<Fault> faults_;  // of this rank, still to come
  PreparedBatch<T> poisoned_;
};

}  // namespace relgrad
