#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "command.hpp"
#include "inspect_report.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/json.hpp"
#include "relgrad/core/log.hpp"

namespace relgrad::cli {

namespace {

struct InspectLine {
  std::filesystem::path path;
  bool json = false;
  bool verify = false;
};

int run(const InspectLine& line) {
  const Inspection inspection = inspect(line.path, line.verify);
  fmt::print("{}",
             line.json ? json_text(inspection.report, 2) + "\n" : in_words(inspection.report));
  if (inspection.problems.empty()) return 0;
  for (const std::string& problem : inspection.problems) {
    log_error(problem);
  }
  return static_cast<int>(ExitCode::checkpoint);
}

}  // namespace

Command inspect_command() {
  const auto line = std::make_shared<InspectLine>();
  Command command;
  command.name = "inspect";
  command.summary = "Shows what a data set, checkpoint, run directory or HDF5 file holds.";
  command.usage = {"DIR|FILE [--verify] [--json]"};
  command.examples = {
      {"relgrad inspect data/images --verify", "a data set; read it whole and compare checksums"},
      {"relgrad inspect runs/first", "a run: status, options, checkpoints, last figures"},
      {"relgrad inspect runs/first --json", "the same as JSON"}};
  command.exit_codes = {0, 1, 2, 3, 4, 6, 8};
  command.options = group(
      "Options", {switch_option("verify", line->verify, "read every file and compare checksums"),
                  switch_option("json", line->json, "print JSON")});
  command.set_positional = [line](const std::string& text) { line->path = text; };
  command.check = [line] {
    if (line->path.empty()) {
      throw UsageError("inspect: no path is given; write relgrad inspect DIR");
    }
  };
  command.run_alone = [line]() -> std::optional<int> { return run(*line); };
  return command;
}

}  // namespace relgrad::cli
