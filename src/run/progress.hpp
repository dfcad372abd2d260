#pragma once
/// The progress of a run, for people: one line that is rewritten on a terminal, one line now and
/// then in a log file.
#include <chrono>
#include <string>

#include "run/metrics.hpp"
#include "run/resume.hpp"

namespace relgrad {

struct ProgressState {
  double fraction = 0;  // of the run, 0 ... 1
  double epoch = 0;     // 2.37
  double epochs = 0;    // of the whole run
  std::int64_t step = 0;
  double train_bits_per_dim = 0;
  bool train_is_exact = false;  // false: with the log|det| of the last evaluation, shown as ~
  double val_bits_per_dim = 0;  // of the last evaluation; not finite: none yet
  double samples_per_s = 0;
};

/// @param total_samples  of the whole run
ProgressState progress_of(const RunState& state, const Metrics& metrics, double total_samples,
                          Index dimension);

class RunProgress {
 public:
  /// @param enabled  false on ranks that do not speak
  explicit RunProgress(bool enabled);
  /// Shows the state if it is time to (every 0.2 s on a terminal, every 30 s in a file) or `now`.
  void show(const ProgressState& state, bool now = false);
  /// Ends the line that is being rewritten, so that other messages start on their own.
  void end_line();

 private:
  using Clock = std::chrono::steady_clock;
  bool enabled_;
  bool terminal_;
  bool line_open_ = false;
  double first_fraction_ = -1;
  Clock::time_point start_;
  Clock::time_point last_;
};

/// "1:02:03", "2:03", "0:03".
std::string duration_text(double seconds);

}  // namespace relgrad
