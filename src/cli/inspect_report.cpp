#include "inspect_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "hdf5/listing.hpp"
#include "options/option_table.hpp"
#include "parse.hpp"
#include "relgrad/checkpoint/checkpoint.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/files.hpp"
#include "relgrad/core/json.hpp"
#include "relgrad/data/dataset.hpp"
#include "relgrad/model/model_line.hpp"
#include "report/layer_table.hpp"
#include "start/model.hpp"

namespace relgrad::cli {

namespace {

namespace fs = std::filesystem;

Report report_dataset(const fs::path& directory, bool verify) {
  const DatasetInfo info = read_dataset_info(directory);
  Report report{{"kind", "data set"},
                {"path", directory.string()},
                {"name", info.name},
                {"dimension", info.dimension},
                {"sample_shape", info.sample_shape},
                {"type", name_of(info.type)},
                {"value_min", info.value_min},
                {"value_max", info.value_max},
                {"identity", info.identity}};
  if (info.true_entropy_nats) report["true_entropy_nats"] = *info.true_entropy_nats;
  Report splits = Report::array();
  Report shards = Report::array();
  for (const SplitInfo& split : info.splits) {
    splits.push_back(
        {{"split", split.name}, {"rows", split.rows}, {"shards", split.shards.size()}});
    for (const ShardInfo& shard : split.shards) {
      shards.push_back({{"file", shard.file},
                        {"rows", shard.rows},
                        {"bytes", shard.bytes},
                        {"checksum", shard.checksum}});
    }
  }
  report["splits"] = splits;
  report["shards"] = shards;
  if (verify) {
    verify_dataset(directory, info);
    report["verified"] = "every checksum agrees";
  }
  return report;
}

/// The numbers and texts of `object`; arrays and objects inside stay away.
Report flat_part(const nlohmann::json& object) {
  Report flat = Report::object();
  for (const auto& [key, value] : object.items()) {
    if (!value.is_structured()) flat[key] = value;
  }
  return flat;
}

/// The tensors of a manifest as a table.
Report tensor_table(const nlohmann::json& tensors) {
  Report table = Report::array();
  for (const nlohmann::json& tensor : tensors) {
    table.push_back({{"tensor", tensor.at("name")},
                     {"shape", tensor.at("shape")},
                     {"type", tensor.at("type")},
                     {"hash", tensor.at("hash")}});
  }
  return table;
}

Inspection inspect_checkpoint(const fs::path& directory, bool verify) {
  const checkpoint::Found found = checkpoint::open(directory);
  Inspection inspection;
  Report& report = inspection.report;
  report = {{"kind", "checkpoint"}, {"path", directory.string()}};
  report.update(flat_part(found.manifest));
  const nlohmann::json& state = found.manifest.at("state");
  report.update(flat_part(state));
  for (const auto& [key, value] : state.items()) {
    if (value.is_object()) report[key] = value;
  }
  if (state.contains("history") && !state.at("history").empty()) {
    report["history"] = state.at("history");
  }
  if (report.contains("model") && report["model"].is_object()) {
    const FlowSpec flow = flow_spec_of(found);
    report["model"].erase("layers");
    report["model"]["line"] = model_line(flow.layers);
    report["layers"] = layer_table(flow, found.manifest.at("tensors"));
  }
  report["files"] = found.manifest.at("files");
  report["tensors"] = tensor_table(found.manifest.at("tensors"));
  if (verify) {
    inspection.problems = checkpoint::verify(found);
    report["verified"] = inspection.problems.empty() ? "every checksum agrees" : "damaged";
  }
  return inspection;
}

/// STATUS is one JSON object; whatever else it holds is shown as it is.
Report status_of(const fs::path& path) {
  const std::string text = read_file(path);
  const std::string line = text.substr(0, text.find('\n'));
  const Report status = parse_json_or_discard<Report>(line);
  return status.is_discarded() ? Report(line) : status;
}

/// Options of config.ini that are not at their defaults.
Report chosen_options(const fs::path& config) {
  Report chosen = Report::object();
  const std::map<std::string, std::string> defaults = to_map(TrainOptions{});
  for (const auto& [key, text] : read_option_file(config.string())) {
    const auto standard = defaults.find(key);
    if (standard == defaults.end() || standard->second != text) chosen[key] = text;
  }
  return chosen;
}

/// Each key's last value in metrics.jsonl, by the kind of the line (train, val); lines that do not
/// parse (cut by a crash) are counted.
Report last_metrics(const fs::path& path) {
  std::istringstream lines(read_file(path));
  Report last = Report::object();
  int unreadable = 0;
  for (std::string line; std::getline(lines, line);) {
    Report values = parse_json_or_discard<Report>(line);
    if (values.is_object() && values.value("kind", Report()).is_string()) {
      const std::string kind = values["kind"];
      values.erase("kind");
      last[kind].update(values);
    } else if (values.is_object()) {
      last.update(values);
    } else {
      ++unreadable;
    }
  }
  if (unreadable > 0) last["unreadable_lines"] = unreadable;
  return last;
}

Report checkpoint_table(const fs::path& run, std::vector<std::string>& rejected) {
  Report table = Report::array();
  const std::vector<checkpoint::Found> all = checkpoint::list(run, &rejected);
  const std::optional<checkpoint::Found> best = checkpoint::best(run);
  for (const checkpoint::Found& found : all) {
    const nlohmann::json& state = found.manifest.at("state");
    const auto metrics = state.value("metrics", nlohmann::json::object());
    const bool is_latest = &found == &all.front();
    const bool is_best = best && best->directory == found.directory;
    table.push_back({{"checkpoint", found.directory.filename().string()},
                     {"epoch", state.value("epoch", nlohmann::json())},
                     {"val_bits_per_dim", metrics.value("val_bits_per_dim", nlohmann::json())},
                     {"note", is_latest && is_best ? "latest, best"
                              : is_latest          ? "latest"
                              : is_best            ? "best"
                                                   : ""}});
  }
  return table;
}

/// Of a checkpoint of a run that may be going on: one that was removed meanwhile has none, one that
/// was replaced by a copy of the same step is looked at again.
std::vector<std::string> problems_of(const checkpoint::Found& found) {
  const auto manifest_now = [&]() -> std::optional<std::string> {
    try {
      return read_file(found.directory / "manifest.json");
    } catch (const DataError&) {
      return std::nullopt;
    }
  };
  constexpr int most_looks = 5;
  for (int look = 1;; ++look) {
    const std::optional<std::string> before = manifest_now();
    std::vector<std::string> problems = checkpoint::verify(found);
    std::error_code ignored;
    const bool is_there = fs::exists(fs::symlink_status(found.directory, ignored));
    if (problems.empty() || !is_there) return {};
    if (manifest_now() == before || look == most_looks) return problems;
  }
}

Inspection inspect_run(const fs::path& run, bool verify) {
  Inspection inspection;
  Report& report = inspection.report;
  report = {{"kind", "run"}, {"path", run.string()}};
  if (fs::exists(run / "STATUS")) report["status"] = status_of(run / "STATUS");
  if (fs::exists(run / "config.ini")) {
    report["options_not_at_default"] = chosen_options(run / "config.ini");
  }
  if (fs::exists(run / "metrics.jsonl"))
    report["last_metrics"] = last_metrics(run / "metrics.jsonl");
  std::vector<std::string> rejected;
  report["checkpoints"] = checkpoint_table(run, rejected);
  if (!rejected.empty()) report["rejected"] = rejected;
  if (verify) {
    inspection.problems = rejected;
    for (const checkpoint::Found& found : checkpoint::list(run)) {
      for (const std::string& problem : problems_of(found)) {
        inspection.problems.push_back(found.directory.filename().string() + ": " + problem);
      }
    }
    report["verified"] = inspection.problems.empty() ? "every checksum agrees" : "damaged";
  }
  return inspection;
}

Report report_hdf5(const fs::path& path) {
  Report table = Report::array();
  for (const hdf5::DatasetListed& dataset : hdf5::list(path)) {
    table.push_back({{"dataset", dataset.name},
                     {"shape", dataset.shape},
                     {"type", dataset.type},
                     {"bytes", dataset.bytes}});
  }
  return {{"kind", "HDF5 file"},
          {"path", path.string()},
          {"bytes", fs::file_size(path)},
          {"datasets", table}};
}

}  // namespace

Inspection inspect(const fs::path& path, bool verify) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::none) {
    throw DataError(fmt::format("inspect: {}: cannot read: {}", path.string(), error.message()));
  }
  if (!fs::exists(status)) {
    throw DataError(fmt::format(
        "inspect: nothing is at {}; give a data set, checkpoint or run directory, or an HDF5 file",
        path.string()));
  }
  if (!fs::is_directory(status) && !fs::is_regular_file(status)) {
    throw DataError(
        fmt::format("inspect: {} is neither a directory nor a regular file", path.string()));
  }
  if (!fs::is_directory(status)) {
    const fs::path parent = path.has_parent_path() ? path.parent_path() : fs::path(".");
    if (path.filename() == "dataset.json") return {report_dataset(parent, verify), {}};
    if (path.filename() == "manifest.json") return inspect_checkpoint(parent, verify);
    return {report_hdf5(path), {}};
  }
  if (fs::exists(path / "dataset.json")) return {report_dataset(path, verify), {}};
  if (fs::exists(path / "manifest.json")) return inspect_checkpoint(path, verify);
  for (const char* part : {"ckpt", "STATUS", "config.ini", "metrics.jsonl"}) {
    if (fs::exists(path / part)) return inspect_run(path, verify);
  }
  throw DataError(
      fmt::format("inspect: {} holds no dataset.json (data set), manifest.json (checkpoint) or "
                  "config.ini (run)",
                  path.string()));
}

}  // namespace relgrad::cli
