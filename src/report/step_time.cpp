#include <fmt/format.h>

#include <array>

#include "report/sections.hpp"

namespace relgrad::reporting {

namespace {

struct Part {
  const char* key;  // in seconds_by_part
  const char* name;
};

/// Those that add up to the time of the steps.
constexpr std::array parts{
    Part{"data", "data"},           Part{"forward", "forward"},
    Part{"backward", "backward"},   Part{"exposed_exchange", "exchange and waiting"},
    Part{"optimizer", "optimizer"}, Part{"checkpoint", "checkpoints"},
    Part{"other", "other"}};

double seconds_of(const Part& part, const Training& training) {
  const auto found = training.seconds_by_part.find(part.key);
  return found == training.seconds_by_part.end() ? 0 : found->second;
}

Html bar(const Training& training) {
  Html pieces;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const double share = seconds_of(parts[i], training) / training.seconds;
    if (share < 0.002) continue;
    pieces +=
        html("<span class=\"part{}\" style=\"width:{}%\" title=\"{} {} %\"></span>", i,
             fmt::format("{:.2f}", 100 * share), parts[i].name, fmt::format("{:.1f}", 100 * share));
  }
  return html("<div class=\"stack\">{}</div>\n", pieces);
}

std::string cell(const Part& part, const Training& training) {
  const double seconds = seconds_of(part, training);
  const auto steps = static_cast<double>(std::max<std::int64_t>(1, training.steps));
  return fmt::format("{}, {:.1f} %", milliseconds_text(seconds / steps),
                     100 * seconds / training.seconds);
}

}  // namespace

Html step_time(const Runs& runs) {
  std::vector<Column> columns{{"part of a step"}};
  std::vector<std::vector<Html>> rows;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    rows.push_back({html("<span class=\"swatch part{}\"></span>{}", i, parts[i].name)});
  }
  rows.push_back({Html("a step")});
  rows.push_back({Html("validations, in all")});
  Html bars;
  for (const RunRecord& run : runs) {
    const Training& training = run.training;
    if (training.seconds <= 0) continue;
    columns.push_back({runs.size() > 1 ? run.name : "time per step, share", true});
    if (runs.size() > 1) bars += html("<p class=\"axis\">{}</p>\n", run.name);
    bars += bar(training);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      rows[i].push_back(html("{}", cell(parts[i], training)));
    }
    const auto steps = static_cast<double>(std::max<std::int64_t>(1, training.steps));
    rows[parts.size()].push_back(html("{}", milliseconds_text(training.seconds / steps)));
    rows[parts.size() + 1].push_back(html("{}", duration_text(run.validation_seconds)));
  }
  if (columns.size() == 1) return {};
  return html("<section>\n<h2>Where a step's time goes</h2>\n{}{}</section>\n", bars,
              table(columns, rows));
}

}  // namespace relgrad::reporting
