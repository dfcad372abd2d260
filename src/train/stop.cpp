#include "relgrad/train/stop.hpp"

#include <signal.h>
#include <unistd.h>

#include <array>

namespace relgrad {

namespace {

constexpr std::array stop_signals = {SIGINT, SIGUSR1, SIGTERM};
volatile sig_atomic_t signal_received = 0;  // the one thing a handler may touch

void on_signal(int number) {
  // The loop finishes its step and saves. Whoever cannot wait sends a second signal: everything on
  // disk is committed or ignored, so leaving here breaks nothing.
  if (signal_received != 0 && number != SIGUSR1) _exit(128 + number);
  signal_received = number;
}

}  // namespace

StopSignals::StopSignals() {
  signal_received = 0;
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  for (const int number : stop_signals) sigaction(number, &action, nullptr);
}

StopSignals::~StopSignals() {
  for (const int number : stop_signals) signal(number, SIG_DFL);
}

std::string StopSignals::received() {
  switch (signal_received) {
    case 0:
      return "";
    case SIGINT:
      return "SIGINT";
    case SIGUSR1:
      return "SIGUSR1";
    default:
      return "SIGTERM";
  }
}

}  // namespace relgrad
