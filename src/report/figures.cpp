#include <fmt/format.h>

#include "report/sections.hpp"

namespace relgrad::reporting {

namespace {

std::vector<Html> row_of(const std::string& name, const std::string& split, std::int64_t samples,
                         const std::string& step, const Likelihood& likelihood) {
  return {html("{}", name),
          html("{}", split),
          html("{}", samples > 0 ? fmt::format("{}", samples) : ""),
          html("{}", step),
          html("{}", bits_text(likelihood)),
          html("{}", nats_text(likelihood)),
          html("{}", likelihood.logit_nats ? fmt::format("{:.2f}", *likelihood.logit_nats) : "")};
}

void add_rows(const RunRecord& run, const std::string& prefix,
              std::vector<std::vector<Html>>& rows) {
  for (const Figure& figure : run.figures) {
    rows.push_back(row_of(prefix + figure.name, figure.split, figure.samples,
                          figure.step ? fmt::format("{}", *figure.step) : "", figure.likelihood));
  }
  if (const Reading* const best = run.best_validation()) {
    rows.push_back(row_of(prefix + "best validation", "val", 0, fmt::format("{}", best->step),
                          best->likelihood));
  }
  if (!run.validations.empty() && run.validations.front().step == 0) {
    const auto marginal = run.options.find("marginal");
    const bool has_marginal = marginal != run.options.end() && marginal->second == "true";
    rows.push_back(row_of(
        prefix + "before the first step" + (has_marginal ? ", with the marginal transform" : ""),
        "val", 0, "0", run.validations.front().likelihood));
  }
  for (const Figure& form : run.closed_forms) {
    rows.push_back(
        row_of(prefix + form.name + ", closed form", form.split, 0, "", form.likelihood));
  }
}

/// A word of a shell's line.
std::string quoted(const std::string& word) {
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  const bool is_plain = !word.empty() && word.find_first_not_of(
                                             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                             "0123456789_-./") == std::string::npos;
  return is_plain ? word : text + "'";
}

/// How to get the figure that is missing.
Html advice(const RunRecord& run) {
  for (const Figure& figure : run.figures) {
    if (figure.split == "test") return {};
  }
  const auto data = run.options.find("data");
  return html(
      "<p class=\"note\">No test figure of {} yet. <code>relgrad evaluate --run {} --data {} "
      "--json {}</code> computes it.</p>\n",
      run.name, quoted(run.path.string()), quoted(data == run.options.end() ? "DIR" : data->second),
      quoted((run.path / "test.json").string()));
}

}  // namespace

Html figures(const Runs& runs) {
  std::vector<std::vector<Html>> rows;
  Html notes;
  for (const RunRecord& run : runs) {
    add_rows(run, runs.size() > 1 ? run.name + ": " : "", rows);
    notes += advice(run);
  }
  if (rows.empty() && notes.empty()) return {};
  return html("<section>\n<h2>Exact likelihoods</h2>\n{}{}</section>\n",
              rows.empty() ? Html()
                           : table({{"figure"},
                                    {"split"},
                                    {"samples", true},
                                    {"step", true},
                                    {"bits/dim", true},
                                    {nats_unit(runs.front()), true},
                                    {"logit-space nats", true}},
                                   rows),
              notes);
}

}  // namespace relgrad::reporting
