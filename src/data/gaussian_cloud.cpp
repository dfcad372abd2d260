#include "data/gaussian_cloud.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace relgrad {

namespace {

constexpr double reach = 8;           // deviations; beyond, exp(-32) is nothing
constexpr int steps_a_deviation = 4;  // of the grid

/// One axis of the grid.
struct Axis {
  double low;
  double step;
  std::size_t size;

  Axis(const GaussianCloud& cloud, std::size_t coordinate) {
    const auto [least, greatest] = std::ranges::minmax(
        cloud.centres, {}, [=](const std::array<double, 2>& c) { return c[coordinate]; });
    step = cloud.deviation / steps_a_deviation;
    low = least[coordinate] - reach * cloud.deviation;
    const double high = greatest[coordinate] + reach * cloud.deviation;
    size = static_cast<std::size_t>(std::ceil((high - low) / step)) + 1;
  }
  /// exp(-(x - centre)^2 / (2 deviation^2)) at the places `first`, `first` + 1, ... within reach.
  std::vector<double> bell(double centre, double deviation, std::size_t& first) const {
    first = static_cast<std::size_t>(std::ceil((centre - reach * deviation - low) / step - 1e-9));
    std::vector<double> values;
    for (std::size_t i = first; i < size; ++i) {
      const double t = (low + step * static_cast<double>(i) - centre) / deviation;
      if (t > reach) break;
      values.push_back(std::exp(-t * t / 2));
    }
    return values;
  }
};

}  // namespace

double GaussianCloud::density(const std::array<double, 2>& x) const {
  const double variance = deviation * deviation;
  double sum = 0;
  for (const auto& centre : centres) {
    const double dx = x[0] - centre[0];
    const double dy = x[1] - centre[1];
    sum += std::exp(-(dx * dx + dy * dy) / (2 * variance));
  }
  return sum / (2 * std::numbers::pi * variance * static_cast<double>(centres.size()));
}

double GaussianCloud::entropy_nats() const {
  const Axis x(*this, 0);
  const Axis y(*this, 1);
  std::vector<double> density(x.size * y.size);
  for (const auto& centre : centres) {
    std::size_t row = 0;
    std::size_t column = 0;
    const std::vector<double> along_x = x.bell(centre[0], deviation, row);
    const std::vector<double> along_y = y.bell(centre[1], deviation, column);
    for (std::size_t i = 0; i < along_x.size(); ++i) {
      double* place = density.data() + (row + i) * y.size + column;
      for (std::size_t j = 0; j < along_y.size(); ++j) place[j] += along_x[i] * along_y[j];
    }
  }
  const double scale =
      1 / (2 * std::numbers::pi * deviation * deviation * static_cast<double>(centres.size()));
  double entropy = 0;
  for (const double sum : density) {
    if (sum > 0) entropy -= scale * sum * std::log(scale * sum);
  }
  return entropy * x.step * y.step;
}

}  // namespace relgrad
