#include "run/watchdog.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "relgrad/core/activity.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"

namespace relgrad {

Watchdog::Watchdog(const Heartbeat& heartbeat, double seconds, double grace, Bark bark)
    : heartbeat_(&heartbeat), seconds_(seconds), grace_(grace), bark_(std::move(bark)) {
  if (seconds_ > 0) thread_ = std::thread([this] { watch(); });
}

Watchdog::~Watchdog() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Watchdog::watch() {
  using Clock = std::chrono::steady_clock;
  const std::chrono::duration<double> tick(std::clamp(seconds_ / 10, 0.005, 1.0));
  Heartbeat::Seen last = heartbeat_->look();
  double still = 0;  // seconds since the last beat
  auto before = Clock::now();
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, tick, [this] { return ends_; })) {
    const auto now = Clock::now();
    const std::chrono::duration<double> elapsed = now - std::exchange(before, now);
    // A job that was suspended for an hour has not hung for an hour: a round counts as two ticks
    // at most.
    still += std::min(elapsed.count(), 2 * tick.count());
    const Heartbeat::Seen seen = heartbeat_->look();
    if (seen.beats != last.beats) still = 0;
    last = seen;
    if (still >= seconds_ + (waits_for_others(seen.place) ? grace_ : 0)) return bark_(seen, still);
  }
}

std::string hang_text(int rank, const std::string& host, const Heartbeat::Seen& seen,
                      double seconds) {
  return fmt::format(
      "rank {} on {} {} {:.0f} s in '{}' of step {}: every rank is ended; start again with "
      "--resume auto",
      rank, host, waits_for_others(seen.place) ? "waits or hangs:" : "hangs:", seconds,
      name_of(seen.place), seen.step);
}

Watchdog::Bark end_the_job(const mpi::Communicator& comm) {
  return [&comm, host = mpi::host_name()](const Heartbeat::Seen& seen, double seconds) {
    log_error(hang_text(comm.rank(), host, seen, seconds));
    // Time for others that hang to say so as well; the first to end the job silences the rest.
    std::this_thread::sleep_for(std::chrono::seconds(1));
    // The main thread may hold what MPI_Abort wants: then this process ends without it, and the
    // launcher ends the job.
    struct sigaction action = {};
    action.sa_handler = [](int) { _exit(static_cast<int>(ExitCode::hung)); };
    sigaction(SIGALRM, &action, nullptr);
    alarm(10);
    comm.abort(static_cast<int>(ExitCode::hung));
  };
}

}  // namespace relgrad
