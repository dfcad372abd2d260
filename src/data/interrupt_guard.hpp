#pragma once
/// While it lives, SIGINT, SIGTERM and SIGHUP only raise a flag; then the old handlers are back.
#include <array>
#include <csignal>

namespace relgrad {

class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
  /// @throws Error with ExitCode::stopped if a signal came since the guard was made; long loops
  /// call it.
  static void check();

 private:
  static constexpr std::array<int, 3> signals{SIGINT, SIGTERM, SIGHUP};
  std::array<struct sigaction, 3> before_{};
};

}  // namespace relgrad
