#include "relgrad/core/partition.hpp"

#include <algorithm>

namespace relgrad {

Range part_of(std::int64_t count, int rank, int world_size) {
  const std::int64_t base = count / world_size;
  const std::int64_t longer = count % world_size;  // the first `longer` ranks have one item more
  const std::int64_t begin = rank * base + std::min<std::int64_t>(rank, longer);
  return {begin, begin + base + (rank < longer ? 1 : 0)};
}

}  // namespace relgrad
