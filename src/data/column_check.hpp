#pragma once
/// Looks at real-valued training data for what makes a likelihood meaningless, and says it: values
/// that repeat, columns that are equal or combinations of others, single values far from all
/// others.
#include <cstdint>
#include <string>
#include <vector>

#include "relgrad/core/types.hpp"

namespace relgrad {

class ColumnCheck {
 public:
  /// @param rows  of the split, all of which come through add()
  ColumnCheck(std::uint64_t rows, std::uint64_t columns);
  /// The next `count` rows.
  void add(const float* values, std::uint64_t count);
  /// @throws DataError if every value is a level from 0 to 255, or one of them divided by 255.
  void expect_no_levels(const std::string& where) const;
  /// Logs a warning a kind of trouble, naming columns.
  void report(const std::string& where);
  /// The part of it that matters in any split: one fill value among the rows spoils their mean.
  void report_extreme_values(const std::string& where) const;

 private:
  struct Extremes {
    float least = 0;
    float most = 0;
    std::uint64_t row_of_least = 0;
    std::uint64_t row_of_most = 0;
  };

  bool report_scaled_levels(const std::string& where) const;  // returns whether it warned
  void report_constant_columns(const std::string& where) const;
  void report_repeated_values(const std::string& where) const;
  std::size_t report_equal_columns(const std::string& where) const;  // returns how many
  void report_dependent_columns(const std::string& where, std::size_t equal) const;

  std::uint64_t columns_;
  std::uint64_t done_ = 0;
  bool all_levels_ = true;       // 0, 1, ... 255
  bool all_level_parts_ = true;  // these divided by 255
  bool all_integers_ = true;
  std::vector<Extremes> extremes_;           // of every column, over all rows
  std::vector<std::uint64_t> sampled_rows_;  // rising
  std::uint64_t sampled_ = 0;
  Matrix<float> sample_;  // sampled rows x columns
};

}  // namespace relgrad
