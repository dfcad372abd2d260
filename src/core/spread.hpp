#pragma once
/// Repeated measurements of one thing in five numbers: median and spread.
#include <vector>

namespace relgrad {

struct Spread {
  double median = 0;
  double least = 0;
  double lower_quartile = 0;
  double upper_quartile = 0;
  double most = 0;
};

/// For an even number of values the median is the upper middle one. @param values  at least one.
Spread spread_of(std::vector<double> values);

}  // namespace relgrad
