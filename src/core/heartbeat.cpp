#include "core/heartbeat.hpp"

#include "core/names.hpp"
#include "relgrad/core/activity.hpp"

namespace relgrad {

std::string_view name_of(Place place) {
  constexpr Names<Place, 8> names = {{{Place::start, "start"},
                                      {Place::data, "data"},
                                      {Place::forward, "forward"},
                                      {Place::sum, "sum"},
                                      {Place::backward, "backward"},
                                      {Place::run_directory, "run directory"},
                                      {Place::validation, "validation"},
                                      {Place::checkpoint, "checkpoint"}}};
  return word_for(names, place);
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
