#pragma once
/// The arrays in which other programs expect a layer's parameters.
#include <string>
#include <vector>

#include "relgrad/core/types.hpp"
#include "relgrad/model/shape.hpp"

namespace relgrad {

/// A checkpoint stores a rows x cols tensor by columns, which is [cols][rows] row-major. This is
/// what becomes of it.
struct ArrayLayout {
  std::vector<Index> shape;
  // The stored numbers are matrices height x width, one after another; each is transposed. 1: they
  // stay as they are.
  Index height = 1;
  Index width = 1;
};

/// @param kind    of the layer
/// @param tensor  its name within the layer: "W", "b", ...
/// @param in      of the samples that come into the layer
/// @param rows    of the tensor in the checkpoint; `cols` likewise
ArrayLayout array_layout(const std::string& kind, const std::string& tensor, const SampleShape& in,
                         Index rows, Index cols);

}  // namespace relgrad
