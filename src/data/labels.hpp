#pragma once
/// Labels of a prepared data set, and the classes that they make.
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "relgrad/core/label.hpp"
#include "relgrad/data/dataset.hpp"

namespace relgrad {

/// The label of every row of a split, in order; negative ones become no_label. Empty: the split has
/// no labels. Memory: 4 bytes per row.
/// @throws DataError naming the shard whose labels are not those of its rows, or are beyond 2^31
std::vector<Label> read_labels(const std::filesystem::path& directory, const DatasetInfo& info,
                               const std::string& split);

/// Rows of each class 0, 1, ..., K - 1 of the training split; rows without a label are not counted.
/// @throws DataError if there are no labels, fewer than two classes, or a class without rows
std::vector<std::uint64_t> count_classes(const std::filesystem::path& directory,
                                         std::span<const Label> labels);

}  // namespace relgrad
