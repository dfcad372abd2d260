#include <memory>

#include "command.hpp"
#include "commands/evaluate.hpp"
#include "model_options.hpp"

namespace relgrad::cli {

Command encode_command() {
  const auto options = std::make_shared<EncodeOptions>();
  Command command;
  command.name = "encode";
  command.summary = "Writes the latent vector z = f(x) of every sample of a split to an HDF5 file.";
  command.details =
      "The file holds /latent [rows, D] in single precision, in the order of the split: the parts "
      "of\n"
      "z in the order in which they leave the flow. 8-bit samples are dequantized as by relgrad "
      "score\n"
      "with the same seed. Every rank encodes a part of the rows; one writes. A signal to stop "
      "leaves\n"
      "no file.";
  command.usage = {"--run DIR --data DIR --output latent.h5 [--split test]"};
  command.examples = {
      {"relgrad encode --run runs/first --data data/images --output latent.h5",
       "a row per sample of the test split"},
      {"mpirun -n 2 relgrad encode --run runs/first --data data/images --split train "
       "--output train-latent.h5",
       "the training split, by two ranks"}};
  command.exit_codes = {0, 1, 2, 3, 4, 6, 8, 75};
  command.options = joined(
      {model_options(*options),
       group("Data", {place_option("data", options->data, "DIR", "a directory",
                                   "data set made by relgrad prepare"),
                      text_option("split", options->split, "NAME", "a split of the data set",
                                  "split to encode: train, val or test"),
                      number_option("batch-size", options->batch_size,
                                    Limits<std::int64_t>{.least = 1, .most = 1 << 24}, "samples",
                                    "number of samples that a rank computes at once")}),
       group("Output", {place_option("output", options->output, "FILE", "a .h5 file to make",
                                     "file for the latent vectors")}),
       computing_options(*options)});
  command.check = [options] {
    require_one_model("encode", *options);
    require("encode", "data", options->data, "the data set to encode");
    require("encode", "output", options->output, "the .h5 file to make");
  };
  command.run_on_ranks = [options](const mpi::Communicator& world) {
    return encode(*options, world);
  };
  return command;
}

}  // namespace relgrad::cli
