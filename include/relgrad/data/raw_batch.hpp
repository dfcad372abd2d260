#pragma once
/// Samples as they are stored in the data set, before any transform.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "relgrad/core/types.hpp"

namespace relgrad {

enum class ElementType { uint8, float32 };
std::string_view name_of(ElementType type);  // "uint8", "float32"
constexpr std::size_t bytes_of(ElementType type) { return type == ElementType::uint8 ? 1 : 4; }

/// `count` samples of `dimension` elements, sample after sample (row = sample, as in the file).
struct RawBatch {
  ElementType type = ElementType::uint8;
  Index dimension = 0;
  Index count = 0;
  std::vector<std::byte> bytes;           // capacity grows to the largest batch and stays
  std::vector<std::uint64_t> sample_ids;  // global index of each sample in its split
  const std::uint8_t* uint8_data() const {
    return reinterpret_cast<const std::uint8_t*>(bytes.data());
  }
  const float* float32_data() const { return reinterpret_cast<const float*>(bytes.data()); }
};

}  // namespace relgrad
