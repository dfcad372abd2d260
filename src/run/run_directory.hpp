#pragma once
/// A run's directory: config.ini, metrics.jsonl, STATUS, LOCK, ckpt/. Only the root rank touches
/// it.
///   RUN/  config.ini  metrics.jsonl  STATUS  LOCK  LATEST  ckpt/step-000012000/
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "run/run_lock.hpp"

namespace relgrad {

class RunDirectory {
 public:
  /// Opens (makes) `path` for one job. @param may_exist  false: refuse a directory that holds a
  /// run.
  /// @throws UsageError if it holds a run and may not, files of something else have the names of a
  /// run's, another live job holds its LOCK, or a file STOP is in it; DiskError if it cannot be
  /// written.
  RunDirectory(std::filesystem::path path, bool may_exist);
  /// What the constructor would find, without a trace. @throws as it does.
  static void check(const std::filesystem::path& path, bool may_exist);
  /// Releases the lock; removes the directory if it was made here and nothing was written to it.
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Whether LOCK is still the file that was opened. If not, the directory was moved or removed,
  /// and what has its name now may be of another run: nothing is written there any more.
  bool is_ours() const { return lock_->is_held(); }
  /// Before every write. @throws DiskError unless is_ours().
  void check_ours() const;
  /// The resolved options, a heading a group, readable by --config.
  void write_config(const std::string& text) const;
  /// One JSON object: state (running, done, stopped, diverged, failed), step, exit_code, ...
  void write_status(const nlohmann::json& status) const;
  /// Keeps the lines of metrics.jsonl whose step is at most `step`, but for validations at a stop,
  /// which a run that never stopped does not have.
  void cut_metrics(std::int64_t step) const;
  /// Renames checkpoints of later steps to ckpt/.stale-step-N: the run continues from `step`, so
  /// they belong to a branch that is left. Nothing deletes them.
  void set_aside_checkpoints_after(std::int64_t step) const;
  /// One line. A full disk costs the line, not the run: it is warned of once.
  void append_metrics(const nlohmann::json& line);
  /// RUN/STOP exists: somebody asks the run to stop, and to stay stopped until it is removed.
  bool stop_requested() const;

 private:
  std::filesystem::path path_;
  bool made_ = false;
  std::optional<RunLock> lock_;
  bool metrics_warned_ = false;
};

/// `path`, or the nearest above it that there is.
std::filesystem::path nearest_directory(const std::filesystem::path& path);

}  // namespace relgrad
