#include "ignored_signals.hpp"

#include <signal.h>

namespace relgrad::cli {

namespace {

constexpr int signals[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU};
volatile bool ignored[sizeof(signals) / sizeof(*signals)];

void look(int /*argc*/, char** /*argv*/, char** /*environment*/) {
  for (unsigned i = 0; i < sizeof(signals) / sizeof(*signals); ++i) {
    struct sigaction action = {};
    ignored[i] = sigaction(signals[i], nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
  }
}
// The loader calls what stands here before the constructors of all libraries.
[[gnu::section(".preinit_array"), gnu::used]] void (*look_first)(int, char**, char**) = look;

}  // namespace

void keep_ignored_signals() {
  for (unsigned i = 0; i < sizeof(signals) / sizeof(*signals); ++i) {
    if (ignored[i]) signal(signals[i], SIG_IGN);
  }
}

}  // namespace relgrad::cli
