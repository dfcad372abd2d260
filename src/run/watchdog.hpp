#pragma once
/// A thread that ends the job when this rank's main thread makes no progress: a rank that hangs (a
/// dead file system, a broken network) must not keep the others waiting until the time limit.
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "core/heartbeat.hpp"
#include "relgrad/mpi/communicator.hpp"

namespace relgrad {

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
