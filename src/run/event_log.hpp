#pragma once
/// Lines of metrics.jsonl and sample grids as event files of TensorBoard.
#include <nlohmann/json.hpp>
#include <string>

#include "run/event_file.hpp"

namespace relgrad {

class EventLog {
 public:
  /// As EventFile. @throws DiskError
  EventLog(const std::filesystem::path& run, std::int64_t first_step) : file_(run, first_step) {}
  /// Every number of the line that has a tag (docs/run-directory.md), under that tag.
  void add_line(const nlohmann::json& line);
  /// @param png  of a sample grid; empty: none
  void add_grid(std::int64_t step, const std::string& png);

 private:
  EventFile file_;
};

}  // namespace relgrad
