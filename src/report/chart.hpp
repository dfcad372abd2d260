#pragma once
/// Curves as an inline SVG. It fills the width that it is given; the figures at its axes keep their
/// size.
#include <cstddef>
#include <string>
#include <vector>

#include "report/html.hpp"

namespace relgrad::reporting {

struct Point {
  double x = 0;
  double y = 0;
  double error = 0;  // half length of the bar through it; 0: none
};

struct Series {
  std::string name;        // for the text that appears over its points
  std::size_t colour = 0;  // colours repeat after colour_count
  bool has_dots = false;   // else a thin line
  std::vector<Point> points;
};

inline constexpr std::size_t colour_count = 8;

struct Chart {
  std::string x_title;
  std::string y_title;
  std::vector<Series> series;
  bool lower_is_better = true;  // which end of y may be cut to show the other
};

/// At most 400 points per series are drawn: longer ones are means of neighbours. Where a curve
/// starts far off, the frame shows the better nine tenths of all points, and the last three
/// quarters of all dots.
/// @return empty if there is no point
Html draw(const Chart& chart);

}  // namespace relgrad::reporting
