#pragma once
/// The tensors of a checkpoint in the order of numpy and PyTorch: row-major, W[i][j] of a matrix W,
/// kernels [channels out][channels in][k][k].
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "relgrad/checkpoint/checkpoint.hpp"

namespace relgrad {

struct ExportedTensor {
  std::string name;  // "layer/0/W"
  checkpoint::TensorType type = checkpoint::TensorType::float32;
  std::vector<Index> shape;
  /// Reads the values, row-major, little-endian. @throws CheckpointError
  std::function<std::vector<std::byte>()> values;

  std::uint64_t bytes() const;
};

/// Parameters of the layers and tables of the transform; no moments. The result must not outlive
/// `found`.
std::vector<ExportedTensor> exported_tensors(const checkpoint::Found& found);

}  // namespace relgrad
