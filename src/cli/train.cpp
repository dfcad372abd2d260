#include <fmt/format.h>

#include <memory>

#include "command.hpp"
#include "options/option_file.hpp"
#include "options/option_table.hpp"
#include "train/trainer.hpp"

namespace relgrad::cli {

namespace {

struct TrainLine {
  TrainOptions options;
  std::string option_file;
  bool print_config = false;
  bool dry_run = false;
};

std::vector<Option> table_options(TrainOptions& options) {
  std::vector<Option> list;
  for (const OptionDescription& row : train_option_table()) {
    const auto set = [&row, &options](const std::string& text) { row.set(options, text); };
    list.push_back({row.name, row.group, row.value, row.get(options), row.unit, row.range,
                    row.meaning, false, set,
                    row.is_same_on_ranks() ? [&row, &options] { return row.get(options); }
                                           : std::function<std::string()>(),
                    row.is_retired});
  }
  return list;
}

void print_config(const TrainOptions& options) {
  for (const OptionDescription& row : train_option_table()) {
    if (row.is_retired) continue;
    const std::string text = row.get(options);
    if (!text.empty()) fmt::print("{}", option_line(row.name, text));
  }
}

void check(const TrainLine& line) {
  if (line.print_config) return;
  require("train", "data", line.options.data, "a data set made by relgrad prepare");
  require("train", "run", line.options.run, "the run directory to create");
}

}  // namespace

Command train_command() {
  const auto line = std::make_shared<TrainLine>();
  Command command;
  command.name = "train";
  command.summary = "Trains a model by exact maximum likelihood, on one or many ranks.";
  command.usage = {"--data DIR --run DIR [--config FILE] [--resume auto] [options]",
                   "--config FILE --print-config", "--data DIR --run DIR --dry-run [options]"};
  command.examples = {
      {"relgrad train --data data/images --run runs/first --epochs 2", "one process"},
      {"mpirun -n 2 relgrad train --data data/images --run runs/second --config "
       "jobs/mnist-best.ini",
       "two ranks share every batch; options come from a file"},
      {"mpirun -n 2 relgrad train --data data/images --run runs/second --config "
       "jobs/mnist-best.ini --resume auto",
       "the same line after a stop; the number of ranks may change"}};
  command.exit_codes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 75};
  command.options = joined(
      {table_options(line->options),
       group("Options from a file",
             {place_option(
                  "config", line->option_file, "FILE", "a file",
                  "file with lines like lr = 0.001; options on the command line override it"),
              switch_option("print-config", line->print_config,
                            "print all options in the format of such a file, and exit")}),
       group("Trial",
             {switch_option("dry-run", line->dry_run,
                            "read the data and make some steps, print the memory, time and disk "
                            "space that the run would take, and write nothing")})});
  command.config_option = "config";
  command.check = [line] { check(*line); };
  command.run_alone = [line]() -> std::optional<int> {
    if (!line->print_config) return std::nullopt;
    print_config(line->options);
    return 0;
  };
  command.run_on_ranks = [line](const mpi::Communicator& world) {
    if (line->print_config) {
      if (world.is_root()) print_config(line->options);
      return 0;
    }
    return line->dry_run ? dry_run(line->options, world) : train(line->options, world);
  };
  return command;
}

}  // namespace relgrad::cli
