#include "commands/evaluate.hpp"

#include <memory>

#include "command.hpp"
#include "model_options.hpp"

namespace relgrad::cli {

std::vector<Option> data_options(EvaluateOptions& options) {
  return group(
      "Data",
      {place_option("data", options.data, "DIR", "a directory", "data set made by relgrad prepare"),
       text_option("split", options.split, "NAME", "a split of the data set",
                   "split to evaluate: train, val or test"),
       number_option(
           "draws", options.draws, Limits<std::int64_t>{.least = 1, .most = 100000}, "draws",
           "draws of dequantization noise per sample; their log-likelihoods are averaged"),
       number_option("batch-size", options.batch_size,
                     Limits<std::int64_t>{.least = 1, .most = 1 << 24}, "samples",
                     "number of samples that a rank computes at once")});
}

Command evaluate_command() {
  const auto options = std::make_shared<EvaluateOptions>();
  Command command;
  command.name = "evaluate";
  command.summary =
      "Computes the exact log-likelihood and bits/dim of a split, with standard error.";
  command.usage = {"--run DIR --data DIR [--split test] [--draws K] [--json FILE]"};
  command.examples = {
      {"relgrad evaluate --run runs/first --data data/images", "the best checkpoint of a run"},
      {"mpirun -n 2 relgrad evaluate --run runs/first --data data/images --split val --json -",
       "two ranks; figures as JSON on standard output"}};
  command.exit_codes = {0, 1, 2, 3, 4, 6, 8};
  command.options = joined({model_options(*options), data_options(*options),
                            group("Output", {place_option("json", options->json, "FILE",
                                                          "a file, or - for standard output",
                                                          "also write the figures as JSON")}),
                            computing_options(*options)});
  command.check = [options] {
    require_one_model("evaluate", *options);
    require("evaluate", "data", options->data, "the data set to evaluate on");
  };
  command.run_on_ranks = [options](const mpi::Communicator& world) {
    return evaluate(*options, world);
  };
  return command;
}

}  // namespace relgrad::cli
