#pragma once
/// From images, arrays or a random source to a data set on disk (ARCHITECTURE section 4).
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "relgrad/core/types.hpp"
#include "relgrad/image/size.hpp"

namespace relgrad {

/// What to prepare and where. Either `train` is given or `synthetic`, never both.
struct PrepareOptions {
  std::filesystem::path output;  // directory to create; must not exist
  std::string name;              // default: the last part of `output`

  // Inputs of each split; several files are read one after another. A file is IDX (.idx, -ubyte),
  // CIFAR-10 or CIFAR-100 binary (.bin), .npy (reals, and integers from 0 to 255), each plain or
  // .gz, or a folder, .tar (also .gz, .xz, .zst, .bz2) or .zip of PNG, JPEG, PBM, PGM or PPM
  // images.
  std::vector<std::filesystem::path> train;
  std::vector<std::filesystem::path> val;
  std::vector<std::filesystem::path> test;  // none: no test split
  /// The last `val_last` rows of train become val. With neither this nor `val`: the last sixth of
  /// train, at most 10000 rows. With `synthetic`: the rows of val, and of test.
  std::optional<std::uint64_t> val_last;
  /// `val_random` rows of train, drawn by `seed`, become val; both keep the order of the input.
  std::optional<std::uint64_t> val_random;

  // One IDX or .npy file of integers per split, one label per sample. CIFAR files contain labels.
  std::vector<std::filesystem::path> train_labels;  // also cut by val_last
  std::vector<std::filesystem::path> val_labels;
  std::vector<std::filesystem::path> test_labels;

  // Image folders and tars; `size` also sets the size of synthetic images.
  std::optional<ImageSize>
      size;                    // crop the centre to this aspect ratio, then resize; default: as is
  bool grey = false;           // one channel; default: grey if all images are, else three channels
  bool class_folders = false;  // labels: the number of an image's first folder, sorted by name
  /// Images that cannot be decoded are left out and listed in skipped.txt. Decodes all twice.
  bool skip_damaged = false;
  bool channels_last = false;  // arrays are (N, H, W, C)

  /// "images" (28 x 28, or `size`), "toy:NAME" (two dimensions; see toy_names), "flow[:D]" (D =
  /// 16): samples of a random flow of known entropy, or "ica[:D]" (D = 8): mixtures of
  /// independent sources, which the shards hold as /sources.
  std::string synthetic;
  /// Rows of the synthetic training split (> 0). val and test are drawn too: `val_last` rows
  /// each, or else a sixth of `rows`, at least 1 and at most 10000.
  std::uint64_t rows = 60000;
  std::uint64_t seed = 1;  // of synthetic data and of val_random

  std::uint64_t rows_per_shard = 0;  // 0: shards of about 256 MiB, at most 256 of them per split
  std::string command;               // as typed, for the record in dataset.json
};

/// The NAMEs of "toy:NAME".
std::vector<std::string> toy_names();

/// Writes `options.output`: shards first, dataset.json last, in a hidden directory beside it that
/// is renamed when everything is on disk. Memory does not grow with the input. If an error, SIGINT,
/// SIGTERM or SIGHUP stops it, it leaves nothing behind; the next run removes what a killed one
/// left. Progress goes to standard error.
/// @throws UsageError  options that contradict each other, or an output that exists
/// @throws DataError   an input that is missing, damaged or unsuitable; a split without samples
/// @throws DiskError   cannot write: permission, quota, space
/// @throws Error       with ExitCode::stopped after a signal
void prepare(const PrepareOptions& options);

}  // namespace relgrad
