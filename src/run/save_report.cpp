#include "run/save_report.hpp"

#include <fmt/format.h>

#include <utility>

namespace relgrad {

std::string ordinal(int number) {
  const bool is_teen = number % 100 / 10 == 1;
  const char* const ending = is_teen            ? "th"
                             : number % 10 == 1 ? "st"
                             : number % 10 == 2 ? "nd"
                             : number % 10 == 3 ? "rd"
                                                : "th";
  return fmt::format("{}{}", number, ending);
}

std::string SaveReport::failed(std::int64_t step, const std::string& trouble) {
  const bool is_new = std::exchange(trouble_, trouble) != trouble;
  if (++failures_ == 1) {
    first_step_ = step;
    return fmt::format("checkpoint not saved, training goes on: {}", trouble);
  }
  return fmt::format("checkpoint still not saved, {} time, since step {}{}", ordinal(failures_),
                     first_step_, is_new ? ": " + trouble : "");
}

std::string SaveReport::worked(std::int64_t step) {
  const int failures = std::exchange(failures_, 0);
  trouble_.clear();
  if (failures == 0) return "";
  return fmt::format("checkpoint saved again at step {}, after {} that could not be saved", step,
                     failures);
}

}  // namespace relgrad
