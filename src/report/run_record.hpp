#pragma once
/// What a run directory holds, as a report tells it. The run may still be going: files may be
/// missing, and the last line of metrics.jsonl may be half written.
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "relgrad/checkpoint/checkpoint.hpp"

namespace relgrad::reporting {

/// A log-likelihood in both units.
struct Likelihood {
  double bits_per_dim = 0;
  double nats = 0;                   // per sample, data in their own units
  std::optional<double> logit_nats;  // per sample, in logit space
  std::optional<double> standard_error_bits_per_dim;
  std::optional<double> standard_error_nats;
};

/// A line of metrics.jsonl with a likelihood.
struct Reading {
  std::int64_t step = 0;
  double epoch = 0;
  double seconds = 0;  // of training and validation up to here, in this and earlier jobs of the run
  Likelihood likelihood;
};

/// What the lines of kind "train" add up to.
struct Training {
  std::vector<Reading> readings;     // of lines that have a likelihood
  bool log_abs_det_is_exact = true;  // in all of them; else that of the last validation
  std::int64_t steps = 0;
  double epoch = 0;  // at the last line
  double samples = 0;
  double seconds = 0;
  std::map<std::string, double> seconds_by_part;
  nlohmann::json last = nlohmann::json::object();  // line
};

/// A figure of `evaluate --json`, or a closed form.
struct Figure {
  std::string name;   // of the file, or of the closed form
  std::string split;  // may be empty
  std::int64_t samples = 0;
  std::optional<std::int64_t> step;
  Likelihood likelihood;
};

struct Picture {
  std::filesystem::path path;
  std::optional<std::int64_t> step;  // of a grid in samples/
};

struct RunRecord {
  std::filesystem::path path;
  std::string name;                                  // last part of the path
  nlohmann::json status = nlohmann::json::object();  // STATUS
  std::map<std::string, std::string> options;        // of config.ini, else of the checkpoint
  Training training;
  std::vector<Reading> validations;
  double validation_seconds = 0;
  std::optional<std::filesystem::file_time_type> last_written;  // metrics.jsonl
  std::optional<checkpoint::Found> checkpoint;                  // newest
  std::vector<Figure> figures;                                  // of *.json in the run directory
  std::vector<Figure> closed_forms;                             // of baselines.json there
  std::vector<Picture> pictures;                                // *.png there and in samples/

  nlohmann::json model() const;  // as the newest checkpoint has it; without one an empty object
  bool is_8_bit() const;         // so far as a checkpoint says so
  const Reading* best_validation() const;  // null: there is none
};

/// @throws DataError "report: PATH ..." where no run is.
RunRecord read_run(const std::filesystem::path& path);

}  // namespace relgrad::reporting
