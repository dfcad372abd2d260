#include "bench/step_floor.hpp"

#include <algorithm>

namespace relgrad {

StepWork work_of_step(const FlowWork& flow, double samples, int moments, int moments_of_whole,
                      int ranks) {
  const auto size = static_cast<double>(flow.matrix_size);
  const double weights = size * size;  // 0 without full layers
  const double k = static_cast<double>(flow.matrices);
  const double moved = 8.0 * (1 + moments);  // values and moments, read and written
  const double of_whole = 8.0 * (1 + moments_of_whole) * static_cast<double>(flow.whole_parameters);
  StepWork work;
  work.flops = samples * ((8.0 * k - 2.0) * weights + 3.0 * flow.other_flops);
  work.bytes = k * weights * (12.0 + (moved + 4.0) / ranks) + of_whole;
  work.fused_bytes = k * weights * (8.0 + moved / ranks) + of_whole;
  return work;
}

void FloorMeter::measure() {
  flops_per_s_.push_back(measure_peak_flops());
  bytes_per_s_.push_back(bandwidth_.measure());
}

nlohmann::json to_json(const Spread& spread, double unit) {
  return {{"median", spread.median / unit},
          {"min", spread.least / unit},
          {"lower_quartile", spread.lower_quartile / unit},
          {"upper_quartile", spread.upper_quartile / unit},
          {"max", spread.most / unit}};
}

nlohmann::json FloorMeter::report(const StepWork& work, const Spread& step_milliseconds) const {
  const Spread peak = spread_of(flops_per_s_);
  const Spread bandwidth = spread_of(bytes_per_s_);
  const auto floor_ms = [&](double bytes) {
    return 1e3 * std::max(work.flops / peak.median, bytes / bandwidth.median);
  };
  const double floor = floor_ms(work.bytes);
  const double fused = floor_ms(work.fused_bytes);
  return {
      {"flops", work.flops},
      {"bytes", work.bytes},
      {"fused_bytes", work.fused_bytes},
      {"peak_gflops_per_s", to_json(peak, 1e9)},
      {"bandwidth_gb_per_s", to_json(bandwidth, 1e9)},
      {"streamed_mib", static_cast<double>(bandwidth_.bytes()) / 1048576.0},
      {"bound_by", work.flops / peak.median > work.bytes / bandwidth.median ? "flops" : "bytes"},
      {"floor_ms", floor},
      {"step_over_floor", step_milliseconds.median / floor},
      {"step_over_floor_min", step_milliseconds.least / floor},
      {"step_over_floor_max", step_milliseconds.most / floor},
      {"fused_floor_ms", fused},
      {"step_over_fused_floor", step_milliseconds.median / fused}};
}

}  // namespace relgrad
