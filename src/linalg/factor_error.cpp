#include "linalg/factor_error.hpp"

#include <fmt/format.h>

#include "relgrad/core/error.hpp"

namespace relgrad {

void throw_not_finite(std::string_view where) {
  throw DivergedError(fmt::format(
      "{}: an entry is not finite; resume from an earlier checkpoint with a smaller --lr", where));
}

void throw_singular(std::string_view where, Index pivot) {
  throw DivergedError(fmt::format(
      "{}: pivot {} is zero, the matrix is singular; resume from an earlier checkpoint with a "
      "smaller --lr",
      where, pivot));
}

}  // namespace relgrad
