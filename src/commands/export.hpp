#pragma once
/// Weights of a run as one file that other programs read: .safetensors or .npz.
#include <string>

namespace relgrad {

struct ExportOptions {
  std::string model;   // a run directory, whose best checkpoint is used, or a checkpoint directory
  std::string output;  // ends in .safetensors or .npz; must not exist
};

/// In one process; holds one tensor at a time in memory.
/// @throws UsageError if the file cannot be made so; CheckpointError; DiskError
int export_weights(const ExportOptions& options);

}  // namespace relgrad
