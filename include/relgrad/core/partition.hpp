#pragma once
/// How rows, samples and columns are shared over ranks: contiguous parts that differ by at most
/// one.
#include <cstdint>

namespace relgrad {

/// [begin, end)
struct Range {
  std::int64_t begin;
  std::int64_t end;
  std::int64_t size() const { return end - begin; }
};

/// Rank r's contiguous part of `count` items; the first ranks have the larger parts.
Range part_of(std::int64_t count, int rank, int world_size);

}  // namespace relgrad
