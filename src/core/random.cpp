#include "relgrad/core/random.hpp"

#include <Random123/philox.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace relgrad {

RandomStream::RandomStream(std::uint64_t seed, Purpose purpose, std::uint32_t epoch,
                           std::uint64_t item)
    : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32U)},
      counter_high_{epoch, static_cast<std::uint32_t>(item),
                    (static_cast<std::uint32_t>(purpose) << 24U) |
                        static_cast<std::uint32_t>((item >> 32U) & 0xFFFFFFU)} {}

std::array<std::uint32_t, 4> RandomStream::block(std::uint32_t block) const {
  const r123::Philox4x32::ctr_type counter{
      {block, counter_high_[0], counter_high_[1], counter_high_[2]}};
  const r123::Philox4x32::key_type key{{key_[0], key_[1]}};
  const auto words = r123::Philox4x32{}(counter, key);
  return {words[0], words[1], words[2], words[3]};
}

namespace {

// 23 bits + 1/2: with 24 bits the largest word would round to 1.
float to_uniform(std::uint32_t word, float /*type*/) {
  return (static_cast<float>(word >> 9U) + 0.5F) * 0x1p-23F;
}
double to_uniform(std::uint32_t word, double /*type*/) {
  return (static_cast<double>(word) + 0.5) * 0x1p-32;
}

template <class T>
void fill_uniform(const RandomStream& stream, std::span<T> out) {
  for (std::size_t i = 0; i < out.size(); i += 4) {
    const auto words = stream.block(static_cast<std::uint32_t>(i / 4));
    const std::size_t count = std::min<std::size_t>(4, out.size() - i);
    for (std::size_t j = 0; j < count; ++j) out[i + j] = to_uniform(words[j], T{});
  }
}

template <class T>
void fill_normal(const RandomStream& stream, std::span<T> out) {
  for (std::size_t i = 0; i < out.size(); i += 4) {
    const auto words = stream.block(static_cast<std::uint32_t>(i / 4));
    std::array<double, 4> normal{};
    for (std::size_t pair = 0; pair < 4; pair += 2) {
      const double radius = std::sqrt(-2.0 * std::log(to_uniform(words[pair], double{})));
      const double angle = 2.0 * std::numbers::pi * to_uniform(words[pair + 1], double{});
      normal[pair] = radius * std::cos(angle);
      normal[pair + 1] = radius * std::sin(angle);
    }
    const std::size_t count = std::min<std::size_t>(4, out.size() - i);
    for (std::size_t j = 0; j < count; ++j) out[i + j] = static_cast<T>(normal[j]);
  }
}

}  // namespace

void RandomStream::uniform(std::span<float> out) const { fill_uniform(*this, out); }
void RandomStream::uniform(std::span<double> out) const { fill_uniform(*this, out); }
void RandomStream::normal(std::span<float> out) const { fill_normal(*this, out); }
void RandomStream::normal(std::span<double> out) const { fill_normal(*this, out); }

}  // namespace relgrad
