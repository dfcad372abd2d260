#include <fmt/format.h>

#include <chrono>
#include <cmath>

#include "relgrad/core/json.hpp"
#include "report/sections.hpp"

namespace relgrad::reporting {

namespace {

std::string with_error(const std::string& value, const std::optional<double>& error, int digits) {
  return error ? fmt::format("{} ± {:.{}f}", value, *error, digits) : value;
}

/// "3 min"
std::string age_text(double seconds) {
  if (seconds < 60) return fmt::format("{:.0f} s", seconds);
  if (seconds < 3600) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.0f} h", seconds / 3600);
}

/// "running, last line 3 min ago": a run that was killed says running for ever.
std::string state_text(const RunRecord& run) {
  std::string state = "not known";
  if (const auto found = run.status.find("state");
      found != run.status.end() && found->is_string()) {
    state = found->get<std::string>();
  }
  if (state != "running" || !run.last_written) return state;
  const auto age = std::filesystem::file_time_type::clock::now() - *run.last_written;
  const double seconds = std::chrono::duration<double>(age).count();
  return fmt::format("{}, last line {} ago", state, age_text(std::max(0.0, seconds)));
}

double epoch_of(const RunRecord& run) {
  double epoch = run.training.epoch;
  for (const Reading& reading : run.validations) epoch = std::max(epoch, reading.epoch);
  return epoch;
}

/// Names and values, in the order in which they are shown.
std::vector<std::pair<std::string, std::string>> facts_of(const RunRecord& run) {
  std::vector<std::pair<std::string, std::string>> facts{{"state", state_text(run)}};
  std::string progress = fmt::format("{:.4g}", epoch_of(run));
  if (const auto epochs = run.options.find("epochs"); epochs != run.options.end()) {
    progress += " of " + epochs->second;
  }
  facts.emplace_back("epochs", progress);
  facts.emplace_back("steps", fmt::format("{}", run.training.steps));
  const Reading* const best = run.best_validation();
  facts.emplace_back("best validation, bits/dim", best ? bits_text(best->likelihood) : "–");
  const Figure* test = nullptr;
  for (const Figure& figure : run.figures) {
    if (figure.split == "test") test = &figure;
  }
  facts.emplace_back("test, bits/dim", test ? bits_text(test->likelihood) : "–");
  const double seconds = run.training.seconds + run.validation_seconds;
  facts.emplace_back("time", duration_text(seconds));
  facts.emplace_back("samples per second",
                     run.training.seconds > 0
                         ? fmt::format("{:.0f}", run.training.samples / run.training.seconds)
                         : "–");
  return facts;
}

}  // namespace

std::string bits_text(const Likelihood& likelihood) {
  return with_error(fmt::format("{:.4f}", likelihood.bits_per_dim),
                    likelihood.standard_error_bits_per_dim, 4);
}

std::string nats_text(const Likelihood& likelihood) {
  return with_error(fmt::format("{:.2f}", likelihood.nats), likelihood.standard_error_nats, 2);
}

std::string nats_unit(const RunRecord& run) { return run.is_8_bit() ? "pixel nats" : "nats"; }

std::string milliseconds_text(double seconds) {
  const double ms = 1e3 * seconds;
  return ms < 1000 ? fmt::format("{:.3g} ms", ms) : fmt::format("{:.0f} ms", ms);
}

std::string duration_text(double seconds) {
  if (seconds < 60) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

Html summary(const Runs& runs) {
  if (runs.size() == 1) {
    Html tiles;
    for (const auto& [name, value] : facts_of(runs.front())) {
      tiles += html("<div><dt>{}</dt><dd>{}</dd></div>\n", name, value);
    }
    return html("<dl class=\"tiles\">\n{}</dl>\n", tiles);
  }
  std::vector<Column> columns{{"run"}};
  std::vector<std::vector<Html>> rows;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    rows.push_back({html("<span class=\"swatch colour{}\"></span>{}", i % 8, runs[i].name)});
    for (const auto& [name, value] : facts_of(runs[i])) {
      if (i == 0) columns.push_back({name, name != "state"});
      rows.back().push_back(html("{}", value));
    }
  }
  return html("<div class=\"tight\">{}</div>\n", table(columns, rows));
}

}  // namespace relgrad::reporting
