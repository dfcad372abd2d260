#include "core/heartbeat.hpp"

#include "relgrad/core/activity.hpp"

namespace relgrad {

std::string_view name_of(Place place) {
  switch (place) {
    case Place::start:
      return "start";
    case Place::data:
      return "data";
    case Place::forward:
      return "forward";
    case Place::sum:
      return "sum";
    case Place::backward:
      return "backward";
    case Place::run_directory:
      return "run directory";
    case Place::validation:
      return "validation";
    case Place::checkpoint:
      return "checkpoint";
  }
  return "";
}

bool waits_for_others(Place place) {
  return place != Place::data && place != Place::forward && place != Place::run_directory;
}

Heartbeat::Seen Heartbeat::look() const {
  Seen seen{beats_.load(std::memory_order_relaxed), step_.load(std::memory_order_relaxed),
            place_.load(std::memory_order_relaxed)};
  // Later, another thread reads ahead: that is no progress of the main one.
  if (seen.place == Place::start) seen.beats += activity();
  return seen;
}

}  // namespace relgrad
