#include "report/run_record.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <sstream>

#include "options/option_file.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/files.hpp"
#include "relgrad/core/json.hpp"

namespace relgrad::reporting {

namespace fs = std::filesystem;
using nlohmann::json;
using namespace nlohmann::literals;

namespace {

/// A finite number, if `object` has one of that name.
std::optional<double> number(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) return std::nullopt;
  const double value = found->get<double>();
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

/// A whole number, if `object` has one of that name.
std::optional<std::int64_t> integer(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_integer()) return std::nullopt;
  return found->get<std::int64_t>();
}

/// A text, if `object` has one of that name.
std::string text(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::optional<Likelihood> likelihood_of(const json& line, const std::string& prefix) {
  const auto bits = number(line, (prefix + "bits_per_dim").c_str());
  const auto nats = number(line, (prefix + "log_likelihood_pixel_nats").c_str());
  if (!bits || !nats) return std::nullopt;
  return Likelihood{*bits, *nats, number(line, (prefix + "log_likelihood_logit_nats").c_str()),
                    number(line, "standard_error_bits_per_dim"),
                    number(line, "standard_error_nats")};
}

std::string text_or_empty(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return {};
  try {
    return read_file(path);
  } catch (const DataError&) {  // removed meanwhile
    return {};
  }
}

json object_in(const fs::path& path) {
  json found = parse_json_or_discard(text_or_empty(path));
  return found.is_object() ? found : json::object();
}

void add_training_line(const json& line, RunRecord& run) {
  Training& training = run.training;
  training.steps = *integer(line, "step");
  training.epoch = number(line, "epoch").value_or(training.epoch);
  training.samples = number(line, "samples").value_or(training.samples);
  training.seconds += number(line, "seconds").value_or(0);
  if (const auto parts = line.find("seconds_by_part"); parts != line.end()) {
    for (const auto& [part, seconds] : parts->items()) {
      if (seconds.is_number()) training.seconds_by_part[part] += seconds.get<double>();
    }
  }
  training.last = line;
  const auto likelihood = likelihood_of(line, "train_");
  if (!likelihood) return;
  training.log_abs_det_is_exact &= text(line, "log_abs_det").starts_with("exact");
  training.readings.push_back(
      {training.steps, training.epoch, training.seconds + run.validation_seconds, *likelihood});
}

void add_validation_line(const json& line, RunRecord& run) {
  run.validation_seconds += number(line, "seconds").value_or(0);
  if (const auto likelihood = likelihood_of(line, "")) {
    run.validations.push_back({*integer(line, "step"), number(line, "epoch").value_or(0),
                               run.training.seconds + run.validation_seconds, *likelihood});
  }
}

void read_metrics(RunRecord& run) {
  const fs::path path = run.path / "metrics.jsonl";
  std::istringstream lines(text_or_empty(path));
  for (std::string one; std::getline(lines, one);) {
    const json line = parse_json_or_discard(one);
    if (!line.is_object() || !integer(line, "step")) continue;  // cut
    const std::string kind = text(line, "kind");
    if (kind == "train") add_training_line(line, run);
    if (kind == "val") add_validation_line(line, run);
  }
  std::error_code error;
  const auto written = fs::last_write_time(path, error);
  if (!error) run.last_written = written;
}

void read_options(RunRecord& run) {
  try {
    for (const auto& [key, text] : parse_option_lines(text_or_empty(run.path / "config.ini"))) {
      run.options[key] = text;
    }
  } catch (const UsageError&) {  // somebody edited it
  }
  if (!run.options.empty() || !run.checkpoint) return;
  const json saved = run.checkpoint->manifest.at("state").value("options", json::object());
  for (const auto& [key, text] : saved.items()) {
    if (text.is_string()) run.options[key] = text;
  }
}

/// baselines.json: {"NAME": {"data_nats": X, "logit_nats": X, "split": "test"}}, nats per sample.
void read_closed_forms(RunRecord& run) {
  const double dimension = number(run.model(), "dimension").value_or(0);
  const json forms = object_in(run.path / "baselines.json");
  for (const auto& [name, form] : forms.items()) {
    const auto nats = form.is_object() ? number(form, "data_nats") : std::nullopt;
    if (!nats || dimension <= 0) continue;
    Figure figure;
    figure.name = name;
    figure.split = text(form, "split");
    figure.likelihood.nats = *nats;
    figure.likelihood.bits_per_dim = -*nats / (dimension * std::numbers::ln2);
    figure.likelihood.logit_nats = number(form, "logit_nats");
    run.closed_forms.push_back(figure);
  }
}

std::vector<fs::path> files_of(const fs::path& directory, const std::string& ending) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() == ending) files.push_back(entry->path());
  }
  std::ranges::sort(files);
  return files;
}

/// What `evaluate --json RUN/test.json` and the like wrote.
void read_figures(RunRecord& run) {
  for (const fs::path& path : files_of(run.path, ".json")) {
    const json found = object_in(path);
    const auto likelihood = likelihood_of(found, "");
    const std::string split = text(found, "split");
    if (!likelihood || split.empty()) continue;
    run.figures.push_back({path.filename().string(), split, integer(found, "samples").value_or(0),
                           integer(found, "step"), *likelihood});
  }
}

void find_pictures(RunRecord& run) {
  for (const fs::path& path : files_of(run.path / "samples", ".png")) {
    std::int64_t step = 0;
    const std::string name = path.stem().string();
    if (std::sscanf(name.c_str(), "step-%ld", &step) == 1) run.pictures.push_back({path, step});
  }
  for (const fs::path& path : files_of(run.path, ".png")) run.pictures.push_back({path, {}});
}

bool is_run(const fs::path& path) {
  std::error_code ignored;
  return std::ranges::any_of(std::array{"STATUS", "config.ini", "metrics.jsonl", "ckpt"},
                             [&](const char* name) { return fs::exists(path / name, ignored); });
}

}  // namespace

json RunRecord::model() const {
  return checkpoint ? checkpoint->manifest.at("state").value("model", json::object())
                    : json::object();
}

bool RunRecord::is_8_bit() const { return model().value("/data/type"_json_pointer, "") == "uint8"; }

const Reading* RunRecord::best_validation() const {
  const auto best = std::ranges::min_element(
      validations, {}, [](const Reading& reading) { return reading.likelihood.bits_per_dim; });
  return best == validations.end() ? nullptr : &*best;
}

RunRecord read_run(const fs::path& path) {
  if (!is_run(path)) {
    throw DataError(fmt::format(
        "report: {} holds no STATUS, config.ini or metrics.jsonl; name a run directory of train",
        path.string()));
  }
  RunRecord run;
  run.path = path;
  const fs::path absolute = fs::absolute(path).lexically_normal();
  run.name = (absolute.has_filename() ? absolute : absolute.parent_path()).filename().string();
  std::vector<checkpoint::Found> checkpoints = checkpoint::list(path);
  if (!checkpoints.empty()) run.checkpoint = std::move(checkpoints.front());
  run.status = object_in(path / "STATUS");
  read_options(run);
  read_metrics(run);
  read_figures(run);
  read_closed_forms(run);
  find_pictures(run);
  return run;
}

}  // namespace relgrad::reporting
