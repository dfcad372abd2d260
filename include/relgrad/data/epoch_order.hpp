#pragma once
/// The order of an epoch: a keyed permutation of [0, n) without an index array (4-round balanced
/// Feistel network on ceil(log2 n) bits, rounded up to even, with cycle walking; round function
/// Philox4x32-10). Any position can be computed by any rank in O(1).
#include <cstdint>
#include <vector>

namespace relgrad {

class EpochOrder {
 public:
  EpochOrder(std::uint64_t seed, std::uint32_t epoch, std::uint64_t size);
  /// The sample at `position` of this epoch; a bijection of [0, size).
  std::uint64_t sample_at(std::uint64_t position) const;

 private:
  std::uint64_t seed_;
  std::uint32_t epoch_;
  std::uint64_t size_;
  unsigned half_bits_;
};

/// `count` of `rows` rows, rising: a sample that does not depend on the order in which the rows
/// lie, by the permutation of (seed, epoch 0). All of them if there are no more.
std::vector<std::uint64_t> draw_rows(std::uint64_t seed, std::uint64_t rows, std::uint64_t count);

}  // namespace relgrad
