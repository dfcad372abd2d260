#pragma once
/// Requests to stop. A handler only sets a flag; the loop acts on it, on all ranks together,
/// between two steps.
#include <string>

namespace relgrad {

/// Catches SIGINT, SIGUSR1 and SIGTERM while it lives; a second one leaves at once. One at a time.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  /// The signal that came ("SIGUSR1"), or empty.
  static std::string received();
};

}  // namespace relgrad
