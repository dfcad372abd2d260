#include <algorithm>

#include "relgrad/core/json.hpp"
#include "report/sections.hpp"

namespace relgrad::reporting {

namespace {

using nlohmann::json;
using Facts = std::vector<std::pair<std::string, std::string>>;

void add(Facts& facts, const std::string& name, const json& object, const std::string& key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return;
  facts.emplace_back(name, found->is_string() ? found->get<std::string>() : json_text(*found));
}

/// The libraries of a choice by shape, each once: "onednn, openblas".
std::string libraries(const json& products) {
  if (!products.is_array()) return products.is_string() ? products.get<std::string>() : "";
  std::string names;
  for (const json& product : products) {
    const json backend = product.is_object() ? product.value("backend", json()) : json();
    if (!backend.is_string() || names.find(backend.get<std::string>()) != std::string::npos)
      continue;
    names += (names.empty() ? "" : ", ") + backend.get<std::string>();
  }
  return names;
}

Facts facts_of(const RunRecord& run) {
  Facts facts{{"directory", run.path.string()}};
  const json environment = run.status.value("environment", json::object());
  if (environment.is_object()) {
    for (const auto& [key, value] : environment.items()) add(facts, key, environment, key);
  }
  if (run.checkpoint && !environment.contains("relgrad")) {
    add(facts, "relgrad", run.checkpoint->manifest, "relgrad_version");
  }
  add(facts, "ranks", run.status, "world_size");
  if (const auto threads = run.options.find("threads"); threads != run.options.end()) {
    facts.emplace_back("threads per rank", threads->second);
  }
  if (run.checkpoint) {
    const json choices = run.checkpoint->manifest.at("state").value("choices", json::object());
    add(facts, "exchange", choices.value("exchange", json::object()), "name");
  }
  facts.emplace_back("products", libraries(run.status.value("products", json())));
  add(facts, "operands of products", run.status, "compute");
  add(facts, "peak memory of rank 0, MiB", run.training.last, "peak_memory_mib");
  add(facts, "steps left out", run.training.last, "skipped_steps");
  add(facts, "rollbacks", run.training.last, "rollbacks");
  return facts;
}

}  // namespace

Html environment(const Runs& runs) {
  std::vector<Column> columns{{""}};
  std::vector<std::string> names;
  std::vector<Facts> all;
  for (const RunRecord& run : runs) {
    columns.push_back({runs.size() > 1 ? run.name : "value"});
    all.push_back(facts_of(run));
    for (const auto& [name, value] : all.back()) {
      if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    }
  }
  std::vector<std::vector<Html>> rows;
  for (const std::string& name : names) {
    rows.push_back({html("{}", name)});
    for (const Facts& facts : all) {
      const auto found =
          std::ranges::find(facts, name, &std::pair<std::string, std::string>::first);
      rows.back().push_back(html("{}", found == facts.end() ? "" : found->second));
    }
  }
  return html("<section>\n<h2>Environment</h2>\n{}</section>\n", table(columns, rows));
}

}  // namespace relgrad::reporting
