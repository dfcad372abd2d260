#include "core/spread.hpp"

#include <algorithm>

#include "relgrad/core/error.hpp"

namespace relgrad {

Spread spread_of(std::vector<double> values) {
  if (values.empty()) throw ShapeError("spread_of: there are no values, at least 1 is needed");
  std::ranges::sort(values);
  const std::size_t n = values.size();
  return {values[n / 2], values.front(), values[n / 4], values[(3 * n) / 4], values.back()};
}

}  // namespace relgrad
