#include <algorithm>
#include <set>

#include "options/option_table.hpp"
#include "report/sections.hpp"

namespace relgrad::reporting {

namespace {

using Texts = std::map<std::string, std::string>;

std::string text_of(const Texts& options, const std::string& name) {
  const auto found = options.find(name);
  return found == options.end() ? "" : found->second;
}

/// Names in the order of the table of options, unknown ones after them.
std::vector<std::string> names_of(const Runs& runs) {
  std::vector<std::string> names;
  for (const OptionDescription& row : train_option_table()) {
    if (!row.is_retired) names.push_back(row.name);
  }
  std::set<std::string> others;
  for (const RunRecord& run : runs) {
    for (const auto& [name, text] : run.options) others.insert(name);
  }
  for (const OptionDescription& row : train_option_table()) others.erase(row.name);
  names.insert(names.end(), others.begin(), others.end());
  return names;
}

bool is_shown(const std::string& name, const Runs& runs, const Texts& defaults) {
  const std::string first = text_of(runs.front().options, name);
  if (runs.size() == 1) return !first.empty() && first != text_of(defaults, name);
  return std::ranges::any_of(
      runs, [&](const RunRecord& run) { return text_of(run.options, name) != first; });
}

}  // namespace

Html options(const Runs& runs) {
  const bool is_one = runs.size() == 1;
  const Texts defaults = to_map(TrainOptions{});
  std::vector<Column> columns{{"option"}};
  for (const RunRecord& run : runs) columns.push_back({is_one ? "value" : run.name});
  columns.push_back({"default"});
  std::vector<std::vector<Html>> rows;
  for (const std::string& name : names_of(runs)) {
    if (!is_shown(name, runs, defaults)) continue;
    rows.push_back({html("<code>{}</code>", name)});
    for (const RunRecord& run : runs) rows.back().push_back(html("{}", text_of(run.options, name)));
    rows.back().push_back(html("{}", text_of(defaults, name)));
  }
  if (rows.empty()) return {};
  return html("<section>\n<h2>{}</h2>\n{}</section>\n",
              is_one ? "Options that are not at their defaults" : "What differs between the runs",
              table(columns, rows));
}

}  // namespace relgrad::reporting
