#pragma once
/// Shapes of samples between the layers of a flow.
#include <string>

#include "relgrad/core/types.hpp"

namespace relgrad {

/// One sample: channels x height x width numbers, channels outermost, width innermost. A vector of
/// D numbers is D x 1 x 1.
struct SampleShape {
  Index channels = 0;
  Index height = 1;
  Index width = 1;

  SampleShape() = default;
  SampleShape(Index c, Index h = 1, Index w = 1)  // NOLINT: a number alone is a vector's length
      : channels(c), height(h), width(w) {}
  Index area() const { return height * width; }
  Index size() const { return channels * area(); }
  bool operator==(const SampleShape&) const = default;
};

/// "3 x 32 x 32"; "784" for a vector.
std::string text_of(const SampleShape& shape);

/// What a layer takes in and gives out. in.size() = out.size() + leaves, over all ranks.
struct LayerShape {
  SampleShape in;
  SampleShape out;
  // Numbers per sample on this rank:
  Index leaves = 0;   // coordinates that leave the flow here, as a part of the latent vector
  Index kept = 0;     // what forward() leaves for backward()
  Index scratch = 0;  // to work in; shared by all layers
};

}  // namespace relgrad
