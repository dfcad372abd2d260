#include "relgrad/data/prepare.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "command.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad::cli {

namespace {

/// A number that may be left away.
Option optional_count(const std::string& name, std::optional<std::uint64_t>& target,
                      const std::string& meaning) {
  const Limits<std::uint64_t> range{.least = 1};
  const auto set = [=, &target](const std::string& text) {
    target = read_number<std::uint64_t>(name, text, range, 1000);
  };
  return {name, "", "N", "", "rows", range.text(), meaning, false, set, nullptr};
}

Option size_option(std::optional<ImageSize>& target) {
  const auto set = [&target](const std::string& text) { target = parse_image_size(text); };
  return {"size",
          "",
          "HxW",
          "",
          "pixels",
          ">= 1 each",
          "crop images around their centre to this shape, then resize them",
          false,
          set,
          nullptr};
}

std::vector<Option> input_options(PrepareOptions& options) {
  return group(
      "Input",
      {paths_option("train", options.train, "FILE",
                    "files with training samples: IDX, CIFAR .bin, .npy, .npz, .h5, .csv, or a "
                    "folder, .tar or .zip of images; FILE:NAME is an array inside .npz or .h5"),
       paths_option("val", options.val, "FILE",
                    "files with validation samples; give this, --val-random or --val-last"),
       optional_count("val-random", options.val_random,
                      "use N rows of --train for validation, drawn at random by --seed, from every "
                      "label in proportion"),
       optional_count("val-last", options.val_last,
                      "use the last N rows of --train for validation; by default a sixth of them, "
                      "at most 10000"),
       paths_option("test", options.test, "FILE", "files with test samples"),
       paths_option("labels", options.train_labels, "FILE",
                    "labels of the training samples: integers in a file as for --train"),
       paths_option("val-labels", options.val_labels, "FILE", "labels of the validation samples"),
       paths_option("test-labels", options.test_labels, "FILE", "labels of the test samples"),
       size_option(options.size),
       switch_option("grey", options.grey, "turn images into one grey channel"),
       switch_option("class-folders", options.class_folders,
                     "label each image by the first folder of its path, numbered by name"),
       switch_option("skip-damaged", options.skip_damaged,
                     "leave out images that cannot be decoded and list them in skipped.txt"),
       switch_option("channels-last", options.channels_last,
                     "arrays are (N, H, W, C), not (N, C, H, W)")});
}

std::vector<Option> synthetic_options(PrepareOptions& options) {
  const std::string range = fmt::format(
      "images | flow | flow:D | ica | ica:D | ica-segments | ica-segments:D:SEGMENTS | "
      "toy:NAME, NAME one of {}",
      fmt::join(toy_names(), " "));
  return group("Synthetic data, instead of files",
               {text_option("synthetic", options.synthetic, "KIND", range,
                            "data drawn by the program; images: with structure; flow: a random "
                            "flow of known entropy; ica: mixed independent sources, kept in "
                            "/sources; ica-segments: sources whose scales change from segment to "
                            "segment, which are the labels; toy: a density in the plane"),
                number_option("rows", options.rows, Limits<std::uint64_t>{.least = 1}, "rows",
                              "number of rows of the training split"),
                number_option("seed", options.seed, Limits<std::uint64_t>{}, "",
                              "seed of the random draws, and of --val-random")});
}

void check(const PrepareOptions& options) {
  require("prepare", "output", options.output, "the data set directory to create");
  if (options.train.empty() == options.synthetic.empty()) {
    throw UsageError(fmt::format(
        "prepare: {}; give either --train FILE or --synthetic KIND",
        options.train.empty() ? "no input is named" : "both files and --synthetic are given"));
  }
  if (!options.val.empty() + options.val_last.has_value() + options.val_random.has_value() > 1) {
    throw UsageError("prepare: --val, --val-last and --val-random exclude each other; keep one");
  }
}

}  // namespace

Command prepare_command(const std::string& command_line) {
  const auto options = std::make_shared<PrepareOptions>();
  options->command = command_line;
  Command command;
  command.name = "prepare";
  command.summary =
      "Writes a data set (HDF5 shards and dataset.json) from files or a random source.";
  command.usage = {
      "--output DIR --train FILE ... [--val FILE | --val-last N] [--test FILE]",
      "--output DIR --synthetic images|flow[:D]|ica[:D]|ica-segments|toy:NAME [--rows N]"};
  const std::string fashion = "/usr/share/datasets/fashion-mnist";
  command.examples = {{"relgrad prepare --output data/images --synthetic images --rows 6000",
                       "small images, drawn by the program"},
                      {fmt::format("relgrad prepare --output data/fashion --val-last 10000 \\\n"
                                   "    --train {0}/train-images-idx3-ubyte.gz \\\n"
                                   "    --test {0}/t10k-images-idx3-ubyte.gz",
                                   fashion),
                       "Fashion-MNIST (Debian package dataset-fashion-mnist)"},
                      {"relgrad prepare --output data/photos --train photos --size 32x32",
                       "a folder of PNG and JPEG images"}};
  command.exit_codes = {0, 1, 2, 3, 6, 8, 75};
  command.options = joined(
      {group("Output",
             {path_option("output", options->output, "DIR", "data set directory to create"),
              text_option("name", options->name, "NAME", "a word",
                          "name of the data set; by default the last part of --output"),
              number_option("rows-per-shard", options->rows_per_shard, Limits<std::uint64_t>{},
                            "rows", "rows per HDF5 file; 0: files of about 256 MiB")}),
       input_options(*options), synthetic_options(*options)});
  command.check = [options] { check(*options); };
  command.run_alone = [options]() -> std::optional<int> {
    prepare(*options);
    return 0;
  };
  return command;
}

}  // namespace relgrad::cli
