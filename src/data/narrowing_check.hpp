#pragma once
/// Double precision is stored as single: is anything of the data lost by it?
#include <cstdint>
#include <string>
#include <vector>

namespace relgrad {

/// Compares what rounding takes from every column with the column's own spread. A shift does not
/// change a density, but where values are far from 0 and close together (metres of a map, seconds
/// of a clock), single precision makes steps of them.
class NarrowingCheck {
 public:
  explicit NarrowingCheck(std::uint64_t columns) : columns_(columns) {}
  void add(std::uint64_t column, double value, float narrowed);
  /// @throws DataError naming `file` and columns, if steps are above a thousandth of the standard
  /// deviation.
  void expect_nothing_lost(const std::string& file) const;

 private:
  struct Column {
    double count = 0;
    double mean = 0;
    double squares = 0;  // sum of (value - mean)^2
    double largest_error = 0;
  };
  std::vector<Column> columns_;
};

}  // namespace relgrad
