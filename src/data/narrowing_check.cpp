#include "data/narrowing_check.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "relgrad/core/error.hpp"

namespace relgrad {

// Welford 1962: mean and sum of squares, one value after another.
void NarrowingCheck::add(std::uint64_t column, double value, float narrowed) {
  Column& c = columns_[column];
  c.count += 1;
  const double before = value - c.mean;
  c.mean += before / c.count;
  c.squares += before * (value - c.mean);
  c.largest_error = std::max(c.largest_error, std::abs(value - static_cast<double>(narrowed)));
}

void NarrowingCheck::expect_nothing_lost(const std::string& file) const {
  constexpr double largest_step = 1e-3;  // of a standard deviation
  std::vector<std::string> lost;
  std::size_t others = 0;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const Column& c = columns_[i];
    const double deviation = c.count > 0 ? std::sqrt(c.squares / c.count) : 0;
    // A column of one value, in a split of few rows, say, is only shifted.
    if (deviation == 0 || !(2 * c.largest_error > largest_step * deviation)) continue;
    if (lost.size() == 3) {
      ++others;
    } else {
      lost.push_back(
          fmt::format("column {} (mean {:.6g}, standard deviation {:.3g}) becomes steps "
                      "of {:.2g}",
                      i, c.mean, deviation, 2 * c.largest_error));
    }
  }
  if (lost.empty()) return;
  throw DataError(fmt::format(
      "{}: in single precision {}{}; subtract an offset first, which changes no density: save (x - "
      "x.mean(0)).astype('float32') (values below 1e-38: divide by the deviation, too, and take "
      "its "
      "logarithm from the log-density)",
      file, fmt::join(lost, ", "), others > 0 ? fmt::format(" and {} more", others) : ""));
}

}  // namespace relgrad
