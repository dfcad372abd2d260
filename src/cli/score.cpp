#include <memory>

#include "command.hpp"
#include "commands/evaluate.hpp"
#include "model_options.hpp"

namespace relgrad::cli {

Command score_command() {
  const auto options = std::make_shared<ScoreOptions>();
  Command command;
  command.name = "score";
  command.summary = "Writes the exact log-likelihood of every sample of a split to an HDF5 file.";
  command.usage = {"--run DIR --data DIR --output scores.h5 [--split test]"};
  command.examples = {{"relgrad score --run runs/first --data data/images --output scores.h5",
                       "one number per sample of the test split"},
                      {"h5ls scores.h5", "what is in the file"}};
  command.exit_codes = {0, 1, 2, 3, 4, 6, 8, 75};
  command.options =
      joined({model_options(*options), data_options(*options),
              group("Output",
                    {place_option("output", options->output, "FILE", "a .h5 file to make",
                                  "file for the log-likelihoods, in the order of the split"),
                     place_option("json", options->json, "FILE", "a file, or - for standard output",
                                  "also write the figures of relgrad evaluate as JSON")}),
              computing_options(*options)});
  command.check = [options] {
    require_one_model("score", *options);
    require("score", "data", options->data, "the data set to score");
    require("score", "output", options->output, "the .h5 file to make");
  };
  command.run_on_ranks = [options](const mpi::Communicator& world) {
    return score(*options, world);
  };
  return command;
}

}  // namespace relgrad::cli
