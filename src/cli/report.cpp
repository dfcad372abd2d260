#include <memory>

#include "command.hpp"
#include "relgrad/core/error.hpp"
#include "report/page.hpp"

namespace relgrad::cli {

Command report_command() {
  const auto options = std::make_shared<ReportOptions>();
  Command command;
  command.name = "report";
  command.summary =
      "Writes runs, finished or still going, as one HTML page: curves, figures, samples, model.";
  command.details =
      "The page loads nothing and has no script. It shows the exact figures that evaluate wrote as "
      "JSON\ninto the run directory, the pictures there and in its samples/, and the closed forms "
      "of its\nbaselines.json.";
  command.usage = {"RUN [RUN ...] --output FILE.html"};
  command.examples = {
      {"relgrad report runs/first --output report.html", "a page that any browser shows"},
      {"relgrad report runs/first runs/second --output both.html",
       "two runs: the same curves, and the options in which they differ"}};
  command.exit_codes = {0, 1, 2, 3, 4, 6, 8};
  command.options =
      group("Output", {path_option("output", options->output, "FILE",
                                   "page to write; replaces only an earlier report")});
  command.takes_many_positionals = true;
  command.set_positional = [options](const std::string& text) { options->runs.emplace_back(text); };
  command.check = [options] {
    if (options->runs.empty()) {
      throw UsageError("report: no run is given; write relgrad report RUN --output FILE.html");
    }
    require("report", "output", options->output.string(), "the page to write");
  };
  command.run_alone = [options]() -> std::optional<int> { return write_report(*options); };
  return command;
}

}  // namespace relgrad::cli
