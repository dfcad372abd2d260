#include "relgrad/core/huge_page_buffer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <vector>

namespace relgrad {
namespace {

std::uintptr_t address(const HugePageBuffer<float>& buffer) {
  return reinterpret_cast<std::uintptr_t>(buffer.get());
}

TEST(HugePageBuffer, IsZeroAndBeginsOnALineOfCache) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{1000}, std::size_t{3} << 20U}) {
    const HugePageBuffer<float> buffer(size);
    EXPECT_EQ(address(buffer) % 64, 0U);
    EXPECT_EQ(std::count(buffer.get(), buffer.get() + size, 0.0F), size);
    std::fill_n(buffer.get(), size, 1.0F);  // all of it is ours
  }
}

// Weights and moments of any size, 256 MiB apart too, share no place of a cache of 4096 bytes a
// way.
TEST(HugePageBuffer, LargeOnesBeginAtDifferentPlaces) {
  std::vector<HugePageBuffer<float>> buffers;
  std::set<std::uintptr_t> lines;
  std::set<std::uintptr_t> pages;
  for (int n = 0; n < 6; ++n) {
    buffers.emplace_back(std::size_t{1} << 20U);
    lines.insert(address(buffers.back()) % 4096);
    pages.insert(address(buffers.back()) / 4096 % 256);
  }
  EXPECT_EQ(lines.size(), buffers.size());
  EXPECT_EQ(pages.size(), buffers.size());
}

}  // namespace
}  // namespace relgrad
