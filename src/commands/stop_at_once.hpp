#pragma once
/// How a command that makes one file ends on a signal to stop: at once, and with nothing left.
#include <array>
#include <csignal>
#include <filesystem>

namespace relgrad {

/// While it lives, SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 and SIGXCPU end the process with exit
/// code 75 ("stopped"), and remove the file that is being made. Those that were ignored before
/// (nohup) stay so. One at a time.
class StopAtOnce {
 public:
  /// @param speaks  whether this process says so on standard error: the root rank
  explicit StopAtOnce(bool speaks);
  ~StopAtOnce();
  StopAtOnce(const StopAtOnce&) = delete;
  StopAtOnce& operator=(const StopAtOnce&) = delete;

  /// The file that a signal removes from now on; empty: none.
  static void removes(const std::filesystem::path& file);

 private:
  static constexpr std::array<int, 6> signals{SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU};
  std::array<struct sigaction, signals.size()> before_{};
};

}  // namespace relgrad
