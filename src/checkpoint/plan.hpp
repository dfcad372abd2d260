#pragma once
/// Who writes which columns of which tensor: a pure function of what every rank holds.
#include <cstdint>
#include <string>
#include <vector>

#include "hdf5/file.hpp"
#include "relgrad/checkpoint/checkpoint.hpp"

namespace relgrad::checkpoint {

struct Tensor {
  std::string name;
  TensorType type = TensorType::float32;
  Index rows = 0;
  Index cols = 0;

  std::uint64_t column_bytes() const;
};

struct PlannedBlock {
  std::size_t tensor = 0;  // index into Plan::tensors
  Index col_begin = 0;
  Index col_end = 0;
};

struct Plan {
  std::vector<Tensor> tensors;                     // by name
  std::vector<std::vector<PlannedBlock>> of_rank;  // what each rank writes; at most once a tensor
  std::uint64_t bytes = 0;                         // of all tensors together

  /// "shard-0000.h5"; shards are numbered over the ranks that write.
  std::string shard_of(int rank) const;
};

/// When tensors that several ranks hold are split over more than one writer.
struct WriterPolicy {
  std::uint64_t bytes_per_writer = std::uint64_t{1} << 30;
  std::uint64_t smallest_split = std::uint64_t{1}
                                 << 20;  // smaller ones go to the first writer whole
};

std::string_view name_of(TensorType type);
hdf5::Type file_type(TensorType type);
std::uint64_t bytes_of(TensorType type);

/// This rank's line in the table that make_plan reads.
std::string describe(std::int64_t step, const std::vector<ConstBlock>& blocks);

/// @param tables  describe() of every rank, in rank order.
/// @throws ShapeError, the same on every rank, if steps or shapes differ between ranks, if columns
/// of
///         a tensor overlap without being the same range, or if some are held by nobody.
Plan make_plan(const std::vector<std::string>& tables, const WriterPolicy& policy);

}  // namespace relgrad::checkpoint
