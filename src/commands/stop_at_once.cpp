#include "commands/stop_at_once.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <string>
#include <string_view>

#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

// A handler can reach nothing but globals. The name is empty while it changes.
std::array<char, 4097> file_to_remove{};
volatile std::sig_atomic_t is_named = 0;
volatile std::sig_atomic_t has_voice = 0;

void leave(int /*signal*/) {
  if (is_named != 0) ::unlink(file_to_remove.data());
  constexpr std::string_view text =
      "relgrad: error: stopped by a signal; nothing was left behind, start it again\n";
  if (has_voice != 0 && ::write(STDERR_FILENO, text.data(), text.size()) < 0) {
    // nobody reads it
  }
  ::_exit(static_cast<int>(ExitCode::stopped));
}

}  // namespace

StopAtOnce::StopAtOnce(bool speaks) {
  has_voice = speaks ? 1 : 0;
  struct sigaction action = {};
  action.sa_handler = &leave;
  sigemptyset(&action.sa_mask);
  for (const int signal : signals) sigaddset(&action.sa_mask, signal);
  for (std::size_t i = 0; i < signals.size(); ++i) {
    ::sigaction(signals[i], &action, &before_[i]);
    if (before_[i].sa_handler == SIG_IGN) ::sigaction(signals[i], &before_[i], nullptr);
  }
}

StopAtOnce::~StopAtOnce() {
  for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], &before_[i], nullptr);
  is_named = 0;
}

void StopAtOnce::removes(const std::filesystem::path& file) {
  is_named = 0;
  const std::string name = file.string();
  if (name.empty() || name.size() >= file_to_remove.size()) return;
  std::ranges::copy(name, file_to_remove.begin());
  file_to_remove[name.size()] = '\0';
  std::atomic_signal_fence(std::memory_order_seq_cst);  // the whole name before the flag
  is_named = 1;
}

}  // namespace relgrad
