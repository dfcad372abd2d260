#include "run/stop.hpp"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "relgrad/core/log.hpp"

namespace relgrad {

namespace {

constexpr std::array<std::pair<int, const char*>, 7> stop_signals{{{SIGINT, "SIGINT"},
                                                                   {SIGTERM, "SIGTERM"},
                                                                   {SIGHUP, "SIGHUP"},
                                                                   {SIGQUIT, "SIGQUIT"},
                                                                   {SIGUSR1, "SIGUSR1"},
                                                                   {SIGUSR2, "SIGUSR2"},
                                                                   {SIGXCPU, "SIGXCPU"}}};
volatile sig_atomic_t signal_received = 0;  // the one thing a handler may touch

void on_signal(int number) {
  // The loop finishes its step and saves. Whoever cannot wait sends SIGINT after that: everything
  // on disk is committed or ignored, so leaving here breaks nothing. Batch systems repeat the
  // others (a cancelled job's ranks get SIGTERM from SLURM and from mpirun), and mean the first.
  if (signal_received != 0 && number == SIGINT) _exit(128 + number);
  signal_received = number;
}

const sigset_t& signal_set() {
  static const sigset_t set = [] {
    sigset_t all;
    sigemptyset(&all);
    for (const auto& [number, name] : stop_signals) sigaddset(&all, number);
    return all;
  }();
  return set;
}

}  // namespace

StopSignals::StopSignals() {
  signal_received = 0;
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  for (const auto& [number, name] : stop_signals) {
    struct sigaction before = {};
    if (sigaction(number, nullptr, &before) != 0 || before.sa_handler == SIG_IGN) continue;
    sigaction(number, &action, nullptr);
    caught_.push_back(number);
  }
  listener_ = std::thread([over = over_.get_future()] { over.wait(); });
  pthread_sigmask(SIG_BLOCK, &signal_set(), nullptr);
}

StopSignals::~StopSignals() {
  over_.set_value();
  listener_.join();
  // Batch systems repeat themselves: a request that was heard must not end the process, with
  // another exit code, while it leaves.
  // It is not set to SIG_IGN, which would look as if the parent had done so.
  const auto heard = [](int /*number*/) {};
  for (const int number : caught_) {
    struct sigaction action = {};
    action.sa_handler = SIG_DFL;
    if (signal_received != 0 && number != SIGINT) action.sa_handler = heard;
    action.sa_flags = SA_RESTART;
    sigaction(number, &action, nullptr);
  }
  pthread_sigmask(SIG_UNBLOCK, &signal_set(), nullptr);
}

std::string StopSignals::received() {
  for (const auto& [number, name] : stop_signals) {
    if (signal_received == number) return name;
  }
  return "";
}

namespace {

double unix_seconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

std::optional<double> number_in(const char* text) {
  std::int64_t number = 0;
  const char* const end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, number);
  if (error != std::errc{} || stop != end || number <= 0) return std::nullopt;
  return static_cast<double>(number);
}

}  // namespace

AllocationEnd::AllocationEnd(const char* end, double margin, double now) : margin_(margin) {
  if (end == nullptr || margin <= 0) return;
  end_ = number_in(end);
  if (!end_) {
    log_warning(std::string("SLURM_JOB_END_TIME: '") + end +
                "' is not a time; the run will not stop by itself at the end of the allocation");
    return;
  }
  half_ = std::max(0.0, (*end_ - now) / 2);
}

std::optional<double> AllocationEnd::seconds_left(double now) const {
  return end_ ? std::optional(*end_ - now) : std::nullopt;
}

bool AllocationEnd::is_near(double now, double reserve) const {
  return end_ && *end_ - now < std::min(margin_ + reserve, half_);
}

StopRequests::StopRequests(const TrainOptions& options, const RunDirectory* run)
    : max_seconds_(options.max_seconds),
      run_(run),
      allocation_(run == nullptr ? nullptr : std::getenv("SLURM_JOB_END_TIME"),
                  options.stop_margin_seconds, unix_seconds()) {}

StopRequest StopRequests::request() {
  using enum StopRequest::Kind;
  const auto now = Clock::now();
  const auto seconds = [](Clock::duration time) {
    return std::chrono::duration<double>(time).count();
  };
  longest_round_ = std::max(longest_round_, seconds(now - std::exchange(last_asked_, now)));
  if (const std::string signal = StopSignals::received(); !signal.empty()) {
    const bool is_warning = signal.starts_with("SIGUSR") || signal == "SIGHUP";
    return {is_warning ? warned : ordered, signal};
  }
  if (run_ == nullptr) return {};
  if (!run_->is_ours()) return {ordered, "the loss of its directory"};
  if (run_->stop_requested()) return {asked, "the file STOP in the run directory"};
  if (max_seconds_ > 0 && seconds(now - start_) >= max_seconds_) return {budget, "--max-seconds"};
  if (allocation_.is_near(unix_seconds(), longest_round_ + longest_save_)) {
    return {warned, "the end of the SLURM allocation"};
  }
  return {};
}

bool StopRequests::leaves_time(StopRequest::Kind kind, double seconds) const {
  const std::optional<double> left = allocation_.seconds_left(unix_seconds());
  // Twice what it took before, as a file system that everybody saves to at the end is slow.
  const bool fits = left && 2 * (seconds + longest_save_) < *left;
  switch (kind) {
    case StopRequest::Kind::budget:
    case StopRequest::Kind::asked:
      return !left || fits;
    case StopRequest::Kind::warned:
      return fits;
    case StopRequest::Kind::none:
    case StopRequest::Kind::ordered:
      break;
  }
  return false;
}

}  // namespace relgrad
