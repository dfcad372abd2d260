#include <array>
#include <cmath>
#include <cstdint>

#include "transform/maps.hpp"
#include "transform/normal_quantile.hpp"
#include "transform/quantile_knots.hpp"

namespace relgrad {

namespace {

/// Part of a sorted column: the rows [begin, end) without those far beyond all others.
struct Inner {
  std::size_t begin = 0;
  std::size_t end = 0;
  double gap = 0;  // knots nearer than this are one
};

// A value is far if it is 1000 times as far from the median as the tenth (of few rows: the tenth
// part) of the values on its side. Knots nearer than 1e-6 of the range of the inner 80 % are one:
// a slope stays below about 1e6 deviations.
Inner inner_part(const std::vector<double>& sorted) {
  const std::size_t size = sorted.size();
  const double median = sorted[size / 2];
  const std::size_t tenth = std::min<std::size_t>(10, size / 10);
  constexpr double far = 1000;
  Inner inner{0, size, 0};
  const double reach_below = far * (median - sorted[tenth]);
  const double reach_above = far * (sorted[size - 1 - tenth] - median);
  while (inner.begin < tenth && median - sorted[inner.begin] > reach_below && reach_below > 0) {
    ++inner.begin;
  }
  while (size - inner.end < tenth && sorted[inner.end - 1] - median > reach_above &&
         reach_above > 0) {
    --inner.end;
  }
  double range = sorted[size - 1 - size / 10] - sorted[size / 10];
  if (!(range > 0)) range = sorted[inner.end - 1] - sorted[inner.begin];
  inner.gap = 1e-6 * range;
  return inner;
}

/// The normal distribution of the rows' mean and deviation.
Knots normal_knots(const std::vector<double>& sorted) {
  double sum = 0;
  for (const double value : sorted) sum += value;
  const double mean = sum / static_cast<double>(sorted.size());
  double squares = 0;
  for (const double value : sorted) squares += (value - mean) * (value - mean);
  const double deviation = std::sqrt(squares / static_cast<double>(sorted.size()));
  const double slope = 1 / deviation;
  return {{mean - deviation, mean + deviation}, {-1, 1}, {slope, slope}};
}

/// A knot at `value`: tied values are one, at the middle of their ranks.
void add_knot(const std::vector<double>& sorted, double value, Knots& knots) {
  const auto [first, last] = std::equal_range(sorted.begin(), sorted.end(), value);
  const auto below = static_cast<double>(first - sorted.begin());
  const auto up_to = static_cast<double>(last - sorted.begin());
  const double p = 0.5 * (below + up_to) / static_cast<double>(sorted.size());
  knots.value.push_back(value);
  knots.normal.push_back(p <= 0.5 ? -normal_quantile_magnitude(p)
                                  : normal_quantile_magnitude(1.0 - p));
}

// Interior: (w1 + w2) / (w1 / s1 + w2 / s2), w1 = h1 + 2 h2, w2 = 2 h1 + h2 (Fritsch and Butland
// 1984); at the ends of the inner part, the secant of its side, or one far value would flatten the
// slope of many near ones.
void add_slopes(Knots& knots, bool has_far_first, bool has_far_last) {
  const std::size_t count = knots.value.size();
  knots.slope.assign(count, 1.0);
  if (count == 1) return;
  const auto width = [&](std::size_t k) { return knots.value[k + 1] - knots.value[k]; };
  const auto secant = [&](std::size_t k) {
    return (knots.normal[k + 1] - knots.normal[k]) / width(k);
  };
  knots.slope.front() = secant(0);
  knots.slope.back() = secant(count - 2);
  for (std::size_t k = 1; k + 1 < count; ++k) {
    const double left = width(k - 1) + 2.0 * width(k);
    const double right = 2.0 * width(k - 1) + width(k);
    knots.slope[k] = (left + right) / (left / secant(k - 1) + right / secant(k));
  }
  if (count < 4) return;
  if (has_far_first) knots.slope[1] = secant(1);
  if (has_far_last) knots.slope[count - 2] = secant(count - 3);
}

/// Knots at evenly spaced ranks of the inner part, and at the outermost values beyond it.
Knots quantile_knots_of(const std::vector<double>& sorted, const Inner& inner, std::size_t count) {
  const std::size_t size = inner.end - inner.begin;
  count = std::clamp<std::size_t>(count, 1, size);
  Knots knots;
  if (inner.begin > 0) add_knot(sorted, sorted.front(), knots);
  const std::size_t before = knots.value.size();
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t rank = count == 1 ? size / 2 : i * (size - 1) / (count - 1);
    const double value = sorted[inner.begin + rank];
    const bool is_first = knots.value.size() == before;
    if (is_first || value - knots.value.back() > inner.gap) add_knot(sorted, value, knots);
  }
  if (inner.end < sorted.size()) add_knot(sorted, sorted.back(), knots);
  add_slopes(knots, inner.begin > 0, inner.end < sorted.size());
  return knots;
}

Knots knots_of(const std::vector<double>& sorted, std::size_t count) {
  const Inner inner = inner_part(sorted);
  const bool has_far = inner.begin > 0 || inner.end < sorted.size();
  if (count == 2 && !has_far) return normal_knots(sorted);
  return quantile_knots_of(sorted, inner, std::max<std::size_t>(count, has_far ? 4 : 2));
}

// log density up to a constant, nats: -x(v)^2 / 2 + log x'(v)
double log_density(const KnotsView& knots, double value) {
  const RationalQuadraticPoint<double> point = knots.forward(value);
  return -0.5 * point.value * point.value + std::log(point.slope);
}

constexpr std::array<std::size_t, 7> candidates{2, 4, 8, 16, 32, 64, 128};

std::size_t most_knots(std::size_t rows) {
  const double most = 2 * std::cbrt(static_cast<double>(rows));
  return static_cast<std::size_t>(std::clamp(most, 2.0, 254.0));
}

/// The fewest knots whose log-density of held-out rows is within a standard error of the best.
std::size_t choose_count(const std::vector<double>& column) {
  constexpr std::size_t fewest_rows = 20;
  constexpr std::size_t folds = 5;
  const std::size_t rows = column.size();
  if (rows < fewest_rows) return 2;
  const std::size_t folds_used = rows <= 1000 ? folds : 1;
  std::vector<std::vector<double>> by_candidate;  // log-densities of the same rows
  for (std::size_t fold = 0; fold < folds_used; ++fold) {
    std::vector<double> fitted;
    std::vector<double> held_out;
    for (std::size_t i = 0; i < rows; ++i) {
      (i % folds == fold ? held_out : fitted).push_back(column[i]);
    }
    std::ranges::sort(fitted);
    for (std::size_t c = 0; c < candidates.size() && candidates[c] <= 2 * most_knots(rows); ++c) {
      const Knots knots = knots_of(fitted, candidates[c]);
      if (by_candidate.size() <= c) by_candidate.emplace_back();
      for (const double value : held_out) {
        by_candidate[c].push_back(log_density(knots.view(), value));
      }
    }
  }
  const auto sum = [](const std::vector<double>& values) {
    double total = 0;
    for (const double value : values) total += value;
    return total;
  };
  const auto& best = *std::ranges::max_element(by_candidate, {}, sum);
  for (std::size_t c = 0; c < by_candidate.size(); ++c) {
    double difference = 0;
    double squares = 0;
    for (std::size_t i = 0; i < best.size(); ++i) {
      const double d = best[i] - by_candidate[c][i];
      difference += d;
      squares += d * d;
    }
    const double mean = difference / static_cast<double>(best.size());
    const double variance = squares / static_cast<double>(best.size()) - mean * mean;
    if (difference <= std::sqrt(std::max(variance, 0.0) * static_cast<double>(best.size()))) {
      return candidates[c];
    }
  }
  return candidates[0];
}

}  // namespace

Knots fit_knots(std::vector<double> column) {
  // Chosen on at most 4096 rows, evenly spaced; more rows bear out more knots.
  constexpr std::size_t rows_at_most = 4096;
  const std::size_t rows = column.size();
  const std::size_t used = std::min(rows, rows_at_most);
  std::vector<double> part;
  for (std::size_t i = 0; i < used; ++i) part.push_back(column[i * rows / used]);
  const auto [least, most] = std::ranges::minmax_element(column);
  if (*least == *most) return {{*least}, {0.0}, {1.0}};
  std::size_t count = choose_count(part);
  if (count > 2) {
    const double growth = std::cbrt(static_cast<double>(rows) / static_cast<double>(used));
    count = std::clamp<std::size_t>(
        static_cast<std::size_t>(std::lround(static_cast<double>(count) * growth)), 2,
        static_cast<std::size_t>(quantile_knots) - 2);  // two for far values
  }
  std::ranges::sort(column);
  return knots_of(column, count);
}

}  // namespace relgrad
