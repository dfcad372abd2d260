#pragma once
/// Files of named arrays that other programs read. `path` must exist, and is filled; texts explain
/// the arrays. @throws DiskError, and what the tensors throw.
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "commands/exported_tensors.hpp"

namespace relgrad {

using Texts = std::map<std::string, std::string>;  // ASCII

/// https://github.com/huggingface/safetensors: 8 bytes with the length of a JSON header, the header
/// {name: {"dtype", "shape", "data_offsets"}, "__metadata__": texts}, then the raw numbers.
void write_safetensors(const std::filesystem::path& path,
                       const std::vector<ExportedTensor>& tensors, const Texts& texts);

/// numpy's .npz: a zip archive, not compressed, of NAME.npy, texts among them.
void write_npz(const std::filesystem::path& path, const std::vector<ExportedTensor>& tensors,
               const Texts& texts);

}  // namespace relgrad
