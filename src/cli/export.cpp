#include "commands/export.hpp"

#include <memory>

#include "command.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad::cli {

Command export_command() {
  const auto options = std::make_shared<ExportOptions>();
  Command command;
  command.name = "export";
  command.summary = "Writes the weights of a run into one .safetensors or .npz file.";
  command.details =
      "Arrays have the names of checkpoints (docs/run-directory.md) and the order of numpy and\n"
      "PyTorch: rows of a matrix first, kernels as channels out, channels in, k, k, splines as\n"
      "spline, bin. Learned inverses are named R. Four texts come with them: model, the model\n"
      "line; description, JSON with layers, transform and sample shape; step; relgrad_version.\n"
      "In .safetensors they are the metadata, in .npz arrays of texts without dimensions.";
  command.usage = {"RUN|CHECKPOINT --output FILE"};
  command.examples = {
      {"relgrad export runs/first --output first.safetensors", "the best checkpoint of a run"},
      {"relgrad export runs/first --output first.npz", "the same for numpy.load"}};
  command.exit_codes = {0, 1, 2, 4, 6, 8};
  command.options =
      group("Output",
            {place_option("output", options->output, "FILE", "a .safetensors or .npz file to make",
                          "file for the weights and the tables of the transform")});
  command.set_positional = [options](const std::string& text) { options->model = text; };
  command.check = [options] {
    if (options->model.empty()) {
      throw UsageError(
          "export: no run is given; write relgrad export RUN --output weights.safetensors");
    }
    require("export", "output", options->output, "the .safetensors or .npz file to make");
  };
  command.run_alone = [options]() -> std::optional<int> { return export_weights(*options); };
  return command;
}

}  // namespace relgrad::cli
