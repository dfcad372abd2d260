#include "relgrad/core/error.hpp"

#include <fmt/format.h>

namespace relgrad {

void check_size(std::string_view where, std::string_view what, std::int64_t actual,
                std::int64_t expected) {
  if (actual != expected) {
    throw ShapeError(fmt::format("{}: {} is {}, expected {}", where, what, actual, expected));
  }
}

}  // namespace relgrad
