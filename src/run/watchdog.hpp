#pragma once
/// A thread that ends the job when this rank's main thread makes no progress: a rank that hangs (a
/// dead file system, a broken network) must not keep the others waiting until the time limit.
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "relgrad/mpi/communicator.hpp"

namespace relgrad {

/// What the main thread is doing. sum is the allreduce of a step's decisions, backward includes the
/// exchange of gradients, run_directory is the root's small files.
enum class Place { start, data, forward, sum, backward, run_directory, validation, checkpoint };
std::string_view name_of(Place place);
/// Whether a rank may stand there because another one does not come.
bool waits_for_others(Place place);

/// Written by the main thread at every place it comes to, read by the watchdog: three atomics.
class Heartbeat {
 public:
  struct Seen {
    std::uint64_t beats = 0;
    std::int64_t step = 0;
    Place place = Place::start;
  };
  void begin_step(std::int64_t step) { step_.store(step, std::memory_order_relaxed); }
  void at(Place place) {
    place_.store(place, std::memory_order_relaxed);
    beats_.fetch_add(1, std::memory_order_relaxed);
  }
  Seen look() const;

 private:
  std::atomic<std::uint64_t> beats_{0};
  std::atomic<std::int64_t> step_{0};
  std::atomic<Place> place_{Place::start};
};

class Watchdog {
 public:
  /// Called from the watchdog's thread, once: where the main thread stands and for how long.
  using Bark = std::function<void(const Heartbeat::Seen& seen, double seconds)>;

  /// @param seconds  without a beat, then it barks; 0: no thread, no watching
  /// @param grace    so much later where other ranks may be waited for: the rank that they wait
  ///                 for barks first
  Watchdog(const Heartbeat& heartbeat, double seconds, double grace, Bark bark);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  void watch();

  const Heartbeat* heartbeat_;
  double seconds_;
  double grace_;
  Bark bark_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ends_ = false;
  std::thread thread_;  // last: it uses all of the above
};

/// "rank 1 on node7 hangs: 60 s in data of step 17 ..."
std::string hang_text(int rank, const std::string& host, const Heartbeat::Seen& seen,
                      double seconds);

/// Says so on standard error and ends every rank with exit code 7, whatever their threads do.
Watchdog::Bark end_the_job(const mpi::Communicator& comm);

}  // namespace relgrad
