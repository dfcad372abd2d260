#pragma once
/// The sections of a report, one source each; empty where no run has anything to show.
#include <string>
#include <vector>

#include "report/html.hpp"
#include "report/run_record.hpp"

namespace relgrad::reporting {

using Runs = std::vector<RunRecord>;

/// State, progress and best figures of every run.
Html summary(const Runs& runs);
/// Training and validation over epochs and over seconds, in both units. Needs no script: radio
/// buttons select one of four charts.
Html curves(const Runs& runs);
/// Exact figures of `evaluate --json`, validations and closed forms.
Html figures(const Runs& runs);
/// Pictures of samples, at most `most_bytes` of page: of many grids a few, evenly spread.
Html samples(const Runs& runs, std::size_t most_bytes);
/// Where a step's time goes.
Html step_time(const Runs& runs);
/// Model line, layers, transform and data.
Html models(const Runs& runs);
/// One run: the options that are not at their defaults. Several: those that differ.
Html options(const Runs& runs);
Html environment(const Runs& runs);

// Figures as all sections write them.
std::string bits_text(const Likelihood& likelihood);  // "1.2345 ± 0.0012"
std::string nats_text(const Likelihood& likelihood);  // "-678.9 ± 1.2"
/// "nats", which for 8-bit data are pixel nats: of a density over 0-255.
std::string nats_unit(const RunRecord& run);
std::string milliseconds_text(double seconds);
std::string duration_text(double seconds);  // "1 h 02 min", "3 min 05 s", "12.3 s"

}  // namespace relgrad::reporting
