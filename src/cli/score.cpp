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
                      {"h5ls scores.h5", "what is in the file"},
                      {"relgrad score --run runs/first --data data/images --ood --output "
                       "outliers.h5",
                       "scores of outliers as well"}};
  command.details =
      "With --ood the file has more numbers per sample (equations and sources: docs/MATH.md, "
      "section 7).\n"
      "Baseline: a Gaussian with the mean and covariance of the reference's training split, of "
      "images\n"
      "beyond 4096 dimensions one with independent frequencies. Means and standard deviations are "
      "those\n"
      "over the reference's validation split.\n\n"
      "- /typicality: |log p - mean| / standard deviation (Nalisnick et al. 2019)\n"
      "- /latent_log_density: of log p(z), standardized: about N(0, 1) if z is a draw of the "
      "latent\n"
      "  density; for a normal one this is the chi-square test of |z|^2\n"
      "- /latent_anderson_darling: A^2 over the coordinates of z; above 2.49 in 5 % and above 3.86 "
      "in\n"
      "  1 % of draws of the latent density\n"
      "- /log_ratio: log p - log p of the baseline (Ren et al. 2019)\n"
      "- /log_ratio_typicality: |/log_ratio - mean| / standard deviation; the best of them "
      "between\n"
      "  MNIST and Fashion-MNIST (docs/measured/outliers.md)";
  command.exit_codes = {0, 1, 2, 3, 4, 6, 8, 75};
  command.options =
      joined({model_options(*options), data_options(*options),
              group("Output",
                    {place_option("output", options->output, "FILE", "a .h5 file to make",
                                  "file for the log-likelihoods, in the order of the split"),
                     switch_option("ood", options->ood,
                                   "also write scores by which samples are outliers of the data "
                                   "that the model was trained on"),
                     place_option("reference", options->reference, "DIR", "a directory",
                                  "for --ood: the data set that the model was trained on; without "
                                  "it, that of --data"),
                     place_option("json", options->json, "FILE", "a file, or - for standard output",
                                  "also write the figures of relgrad evaluate as JSON")}),
              computing_options(*options)});
  command.check = [options] {
    require_one_model("score", *options);
    require("score", "data", options->data, "the data set to score");
    require("score", "output", options->output, "the .h5 file to make");
    if (!options->reference.empty() && !options->ood) {
      throw UsageError("--reference: only --ood uses it; give both or neither");
    }
  };
  command.run_on_ranks = [options](const mpi::Communicator& world) {
    return score(*options, world);
  };
  return command;
}

}  // namespace relgrad::cli
