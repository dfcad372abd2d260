#pragma once
/// Elapsed time in seconds, by a clock that no change of the time of day moves.
#include <chrono>
#include <utility>

namespace relgrad {

class Stopwatch {
 public:
  /// Since it was made or since the last lap.
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  /// The same; starts again.
  double lap() {
    const auto now = Clock::now();
    return std::chrono::duration<double>(now - std::exchange(start_, now)).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

/// Adds the seconds of its life to `sum`, which outlives it.
class TimedScope {
 public:
  explicit TimedScope(double& sum) : sum_(&sum) {}
  ~TimedScope() { *sum_ += watch_.seconds(); }
  TimedScope(const TimedScope&) = delete;
  TimedScope& operator=(const TimedScope&) = delete;

 private:
  double* sum_;
  Stopwatch watch_;
};

}  // namespace relgrad
