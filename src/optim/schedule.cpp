#include "relgrad/optim/schedule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/names.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

constexpr Names<ScheduleKind, 2> names = {
    {{ScheduleKind::cosine, "cosine"}, {ScheduleKind::constant, "constant"}}};

}  // namespace

ScheduleKind parse_schedule_kind(std::string_view name) {
  if (const auto kind = value_for(names, name)) return *kind;
  throw UsageError(fmt::format("--schedule: '{}' is none of {}", name, all_words(names)));
}

std::string_view name_of(ScheduleKind kind) { return word_for(names, kind); }

double Schedule::factor(double samples) const {
  if (samples < warmup_samples) return samples / warmup_samples;
  if (kind == ScheduleKind::constant || total_samples <= warmup_samples) return 1.0;
  // final + (1 - final) (1 + cos(pi t)) / 2, t the part of the samples after the warm-up that is
  // done
  const double t = std::min(1.0, (samples - warmup_samples) / (total_samples - warmup_samples));
  return final_factor + (1.0 - final_factor) * 0.5 * (1.0 + std::cos(std::numbers::pi * t));
}

}  // namespace relgrad
