#pragma once
/// Where the main thread is: it says so, a watchdog reads it.
#include <atomic>
#include <cstdint>
#include <string_view>

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

}  // namespace relgrad
