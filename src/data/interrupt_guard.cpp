#include "data/interrupt_guard.hpp"

#include <fmt/format.h>

#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {
volatile std::sig_atomic_t signal_seen = 0;  // a handler can reach nothing but a global
void remember_signal(int number) { signal_seen = number; }
}  // namespace

InterruptGuard::InterruptGuard() {
  signal_seen = 0;
  struct sigaction action = {};
  action.sa_handler = &remember_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  for (std::size_t i = 0; i < signals.size(); ++i) {
    ::sigaction(signals[i], &action, &before_[i]);
    if (before_[i].sa_handler == SIG_IGN) ::sigaction(signals[i], &before_[i], nullptr);  // nohup
  }
}

InterruptGuard::~InterruptGuard() {
  for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], &before_[i], nullptr);
}

void InterruptGuard::check() {
  if (signal_seen == 0) return;
  throw Error(ExitCode::stopped,
              fmt::format("prepare: stopped by signal {}; nothing was left behind, start it again",
                          static_cast<int>(signal_seen)));
}

}  // namespace relgrad
