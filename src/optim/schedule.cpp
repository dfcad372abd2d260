#include "relgrad/optim/schedule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "relgrad/core/error.hpp"

namespace relgrad {

ScheduleKind parse_schedule_kind(std::string_view name) {
  if (name == "constant") return ScheduleKind::constant;
  if (name == "cosine") return ScheduleKind::cosine;
  throw UsageError(fmt::format("--schedule: '{}' is none of cosine, constant", name));
}

std::string_view name_of(ScheduleKind kind) {
  return kind == ScheduleKind::constant ? "constant" : "cosine";
}

double Schedule::factor(double samples) const {
  if (samples < warmup_samples) return samples / warmup_samples;
  if (kind == ScheduleKind::constant || total_samples <= warmup_samples) return 1.0;
  // final + (1 - final) (1 + cos(pi t)) / 2, t the part of the samples after the warm-up that is
  // done
  const double t = std::min(1.0, (samples - warmup_samples) / (total_samples - warmup_samples));
  return final_factor + (1.0 - final_factor) * 0.5 * (1.0 + std::cos(std::numbers::pi * t));
}

}  // namespace relgrad
