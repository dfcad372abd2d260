#pragma once
/// Learning-rate schedules: a factor in [0, 1] as a function of samples consumed, never of ranks.
#include <cstdint>
#include <string_view>

namespace relgrad {

enum class ScheduleKind { constant, cosine };
ScheduleKind parse_schedule_kind(std::string_view name);  // @throws UsageError
std::string_view name_of(ScheduleKind kind);

struct Schedule {
  ScheduleKind kind = ScheduleKind::cosine;
  double warmup_samples = 0;  // linear from 0 over the first samples
  double total_samples = 0;   // cosine reaches `final_factor` here
  double final_factor = 0.0;
  /// @param samples  samples consumed up to and including the middle of the coming batch
  double factor(double samples) const;
};

}  // namespace relgrad
