#include "relgrad/data/epoch_order.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "relgrad/core/error.hpp"
#include "relgrad/core/random.hpp"

namespace relgrad {

EpochOrder::EpochOrder(std::uint64_t seed, std::uint32_t epoch, std::uint64_t size)
    : seed_(seed), epoch_(epoch), size_(size), half_bits_(0) {
  const int bits =
      size > 1 ? static_cast<int>(std::bit_width(size - 1)) : 0;  // positions are below 2^bits
  half_bits_ = static_cast<unsigned>((bits + 1) / 2);
}

std::uint64_t EpochOrder::sample_at(std::uint64_t position) const {
  if (position >= size_) {
    throw ShapeError(
        fmt::format("EpochOrder: position {} is outside an epoch of {} samples", position, size_));
  }
  if (size_ == 1) return 0;
  constexpr std::uint64_t rounds = 4;
  const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
  // Feistel: (left, right) -> (right, left xor f_round(right)), a bijection of [0, 4^half_bits).
  // Cycle walking: repeat until the value is below size; at most 4 times on average.
  std::uint64_t value = position;
  do {
    std::uint64_t left = value >> half_bits_;
    std::uint64_t right = value & mask;
    for (std::uint64_t round = 0; round < rounds; ++round) {
      const RandomStream stream(seed_, Purpose::epoch_order, epoch_, (round << 48U) | right);
      const std::uint64_t mixed = left ^ (stream.block(0)[0] & mask);
      left = right;
      right = mixed;
    }
    value = (left << half_bits_) | right;
  } while (value >= size_);
  return value;
}

std::vector<std::uint64_t> draw_rows(std::uint64_t seed, std::uint64_t rows, std::uint64_t count) {
  const EpochOrder order(seed, 0, rows);
  const bool takes_all = count >= rows;
  std::vector<std::uint64_t> drawn(std::min(rows, count));
  for (std::uint64_t i = 0; i < drawn.size(); ++i) drawn[i] = takes_all ? i : order.sample_at(i);
  std::ranges::sort(drawn);
  return drawn;
}

}  // namespace relgrad
