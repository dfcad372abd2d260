#include "commands/sample.hpp"

#include <memory>

#include "command.hpp"
#include "model_options.hpp"

namespace relgrad::cli {

Command sample_command() {
  const auto options = std::make_shared<SampleOptions>();
  Command command;
  command.name = "sample";
  command.summary = "Draws samples from a trained model, as a grid of images or an HDF5 file.";
  command.usage = {"--run DIR --output grid.png [--count N] [--temperature T] [--seed S]",
                   "--run DIR --output samples.h5 [--count N]"};
  command.examples = {
      {"relgrad sample --run runs/first --output grid.png", "64 images in a grid"},
      {"relgrad sample --run runs/first --count 1000 --temperature 0.8 --output samples.h5",
       "1000 samples closer to the mode, as numbers"},
      {"mpirun -n 2 relgrad sample --run runs/first --count 50000 --output many.h5",
       "50000 samples by two ranks; the memory does not grow with their number"}};
  command.details =
      "Sample n depends on the seed and n alone, not on the number of samples or of ranks. Every "
      "rank\n"
      "draws some; one writes. Beside the weights a rank needs 8 D^2 bytes per linear layer for "
      "its\n"
      "exact inverse, at most 256 MiB for inverses of convolutions, and memory for --batch-size\n"
      "samples. A signal to stop leaves no file.";
  command.exit_codes = {0, 1, 2, 4, 6, 8, 75};
  command.options = joined(
      {model_options(*options),
       group("Samples",
             {place_option("output", options->output, "FILE", "a .png or .h5 file to make",
                           "file to write; .png: a grid of images; .h5: numbers, for any data"),
              number_option("count", options->count,
                            Limits<std::int64_t>{.least = 1, .most = 1000000000}, "samples",
                            "number of samples"),
              number_option("batch-size", options->batch_size,
                            Limits<std::int64_t>{.least = 1, .most = 1 << 24}, "samples",
                            "number of samples that a rank draws at once; fewer where they would "
                            "take more than 256 MiB"),
              number_option("temperature", options->temperature, above(0.0), "",
                            "factor on the latent draws; below 1: samples closer to the mode"),
              number_option("label", options->label,
                            Limits<std::int64_t>{.least = -1, .most = 1 << 30}, "",
                            "class of the samples of a conditional model; -1: each sample's class "
                            "is drawn, as frequent as in the training split"),
              choice_option(
                  "inverse", options->inverse, {"exact", "learned"},
                  "inverse of linear layers and convolutions; exact: by LU, O(D^3) once for "
                  "a linear layer; learned: R of "
                  "self-normalizing layers, O(D^2) per sample")}),
       computing_options(*options)});
  command.check = [options] {
    require_one_model("sample", *options);
    require("sample", "output", options->output, "the .png or .h5 file to make");
    if (!options->output.ends_with(".png") && !options->output.ends_with(".h5")) {
      throw UsageError("--output: '" + options->output + "' ends neither in .png nor in .h5");
    }
  };
  command.run_on_ranks = [options](const mpi::Communicator& world) {
    return sample(*options, world);
  };
  return command;
}

}  // namespace relgrad::cli
