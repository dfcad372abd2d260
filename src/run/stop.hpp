#pragma once
/// Requests to stop. A handler only sets a flag; the loop acts on it, on all ranks together,
/// between two steps.
#include <algorithm>
#include <chrono>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "options/options.hpp"
#include "run/run_directory.hpp"

namespace relgrad {

/// Catches SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 and SIGXCPU while it lives, but for
/// those that were ignored before (nohup, a shell's background job): they stay so. SIGINT after one
/// of them leaves at once. One at a time, from before the first thing a run waits for.
class StopSignals {
 public:
  StopSignals();
  /// Where one came, all but SIGINT are ignored from now on: the process is about to leave.
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  /// The signal that came ("SIGUSR1"), or empty.
  static std::string received();

 private:
  // Handlers must not run on a thread that computes: products of oneDNN (seen in 2.6, AVX-512) keep
  // numbers below the stack pointer, where the kernel lays down a handler's frame. This thread does
  // nothing else; the one that made this object, and those it starts, block the signals.
  std::vector<int> caught_;
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
  /// Seconds until the end; nothing if none is known.
  std::optional<double> seconds_left(double now) const;

 private:
  std::optional<double> end_;
  double margin_ = 0;
  double half_ = 0;  // of what was left at the start
};

struct StopRequest {
  enum class Kind {
    none,
    budget,   // --max-seconds: the run ends here
    asked,    // there is time: STOP
    warned,   // there is time until the end of the allocation, where one is known
    ordered,  // nobody knows how long there is time: SIGTERM, SIGINT
  };
  Kind kind = Kind::none;
  std::string reason;  // "SIGUSR1"
};

/// Everything that asks a run to stop from outside: StopSignals, RUN/STOP, --max-seconds and the
/// end of the allocation.
class StopRequests {
 public:
  /// @param run  null on ranks that only listen to signals
  StopRequests(const TrainOptions& options, const RunDirectory* run);
  /// Whether and why to stop now. Asked before every step: the longest time between two questions
  /// is what a step, with a validation and a save, may take.
  StopRequest request();
  /// Whether work of so many seconds, and a save, may follow a stop of this kind.
  bool leaves_time(StopRequest::Kind kind, double seconds) const;
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
