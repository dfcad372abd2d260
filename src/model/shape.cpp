#include "relgrad/model/shape.hpp"

#include <fmt/format.h>

namespace relgrad {

std::string text_of(const SampleShape& shape) {
  if (shape.area() == 1) return fmt::format("{}", shape.channels);
  return fmt::format("{} x {} x {}", shape.channels, shape.height, shape.width);
}

}  // namespace relgrad
