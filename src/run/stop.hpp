#pragma once
/// Requests to stop. A handler only sets a flag; the loop acts on it, on all ranks together,
/// between two steps.
#include <algorithm>
#include <chrono>
#include <future>
#include <optional>
#include <string>
#include <thread>

#include "options/options.hpp"
#include "run/run_directory.hpp"

namespace relgrad {

/// Catches SIGINT, SIGUSR1 and SIGTERM while it lives; SIGINT after one of them leaves at once. One
/// at a time, from before the first thing a run waits for.
class StopSignals {
 public:
  StopSignals();
  /// Where one came, SIGUSR1 and SIGTERM are ignored from now on: the process is about to leave.
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  /// The signal that came ("SIGUSR1"), or empty.
  static std::string received();

 private:
  // Handlers must not run on a thread that computes: products of oneDNN (seen in 2.6, AVX-512) keep
  // numbers below the stack pointer, where the kernel lays down a handler's frame. This thread does
  // nothing else; the one that made this object, and those it starts, block the signals.
  std::promise<void> over_;
  std::thread listener_;
};

/// The end of a batch job's allocation and how early to stop before it. Seconds since 1970: what
/// the batch system says is wall-clock time, the only such time a run reads.
class AllocationEnd {
 public:
  /// @param end     text of SLURM_JOB_END_TIME; null, or no number (warned of): no end is known
  /// @param margin  stop this long before; 0: do not. At most half of what is left `now` is used,
  ///                so that an allocation shorter than the margin does some work.
  AllocationEnd(const char* end, double margin, double now);
  /// Whether it is time to stop, with `reserve` seconds needed on top of the margin.
  bool is_near(double now, double reserve) const;

 private:
  std::optional<double> end_;
  double margin_ = 0;
  double half_ = 0;  // of what was left at the start
};

/// The reason to stop that is no request: the time that the user gave is used up, as --max-steps
/// may be.
inline constexpr const char* out_of_time = "--max-seconds";

/// Everything that asks a run to stop from outside: StopSignals, RUN/STOP, --max-seconds and the
/// end of the allocation.
class StopRequests {
 public:
  /// @param run  null on ranks that only listen to signals
  StopRequests(const TrainOptions& options, const RunDirectory* run);
  /// Why to stop now ("SIGUSR1"), or empty. Asked before every step: the longest time between two
  /// questions is what a step, with a validation and a save, may take.
  std::string reason();
  void add_save_seconds(double seconds) { longest_save_ = std::max(longest_save_, seconds); }

 private:
  using Clock = std::chrono::steady_clock;  // a jump of the wall clock ends no run
  double max_seconds_;
  const RunDirectory* run_;
  AllocationEnd allocation_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_asked_ = start_;
  double longest_round_ = 0;
  double longest_save_ = 0;
};

}  // namespace relgrad
