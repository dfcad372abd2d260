#include "report/chart.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace relgrad::reporting {

namespace {

constexpr double frame_size = 1000;  // of the SVG, in both directions

struct Span {
  double low = 0;
  double high = 1;
  double length() const { return high - low; }
  /// 0 ... 1 from low to high.
  double place(double value) const { return (value - low) / length(); }
};

/// Both ends moved out so that the span has a length.
Span widened(Span span, double by) {
  const double margin = span.length() > 0 ? by * span.length() : std::max(1e-3, std::abs(span.low));
  return {span.low - margin, span.high + margin};
}

/// Round numbers within the span: multiples of 1, 2 or 5 times a power of ten, five or so.
std::vector<double> ticks_of(const Span& span) {
  constexpr double wanted = 5;
  const double power = std::pow(10, std::floor(std::log10(span.length() / wanted)));
  double step = power;
  for (const double factor : {2.0, 5.0, 10.0}) {
    if (span.length() / step > wanted) step = factor * power;
  }
  std::vector<double> ticks;
  for (double k = std::ceil(span.low / step); k * step <= span.high; ++k) ticks.push_back(k * step);
  return ticks;
}

std::string tick_text(double value, const Span& span) {
  const int digits = std::max(0, static_cast<int>(std::ceil(1 - std::log10(span.length() / 2))));
  std::string text = fmt::format("{:.{}f}", value, std::min(digits, 9));
  if (text.find('.') != std::string::npos) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
  }
  return text == "-0" ? "0" : text;
}

std::vector<Point> thinned(const std::vector<Point>& points) {
  constexpr std::size_t most = 400;
  if (points.size() <= most) return points;
  std::vector<Point> means;
  for (std::size_t i = 0; i < most; ++i) {
    const std::size_t begin = i * points.size() / most;
    const std::size_t end = (i + 1) * points.size() / most;
    Point mean;
    for (std::size_t k = begin; k < end; ++k) {
      mean.x += points[k].x / static_cast<double>(end - begin);
      mean.y += points[k].y / static_cast<double>(end - begin);
    }
    means.push_back(mean);
  }
  return means;
}

Span x_span(const std::vector<Series>& series) {
  Span span{0, 0};
  for (const Series& one : series) {
    for (const Point& point : one.points) span.high = std::max(span.high, point.x);
  }
  if (span.high <= 0) span.high = 1;
  return span;
}

/// Of all points, but for the worst tenth where it is far from the others, and for the first
/// quarter of the dots.
Span y_span(const Chart& chart) {
  const double sign = chart.lower_is_better ? 1 : -1;
  std::vector<double> values;  // small is good
  for (const Series& one : chart.series) {
    for (const Point& point : one.points) values.push_back(sign * point.y);
  }
  std::ranges::sort(values);
  const double best = values.front();
  const double most = values[(values.size() - 1) * 9 / 10];
  const bool is_far = values.back() - best > 3 * (most - best);
  double worst = is_far ? best + 1.3 * (most - best) : values.back();
  for (const Series& one : chart.series) {
    for (std::size_t i = one.points.size() / 4; one.has_dots && i < one.points.size(); ++i) {
      worst = std::max(worst, sign * one.points[i].y);
    }
  }
  return widened(sign > 0 ? Span{best, worst} : Span{-worst, -best}, 0.06);
}

class Frame {
 public:
  Frame(const Chart& chart) : x_(x_span(chart.series)), y_(y_span(chart)) {}
  double left(double x) const { return frame_size * x_.place(x); }
  double top(double y) const { return frame_size * (1 - y_.place(y)); }
  const Span& x() const { return x_; }
  const Span& y() const { return y_; }
  bool holds(const Point& point) const { return point.y >= y_.low && point.y <= y_.high; }

 private:
  Span x_;
  Span y_;
};

Html line_of(const Series& series, const Frame& frame) {
  std::string path;
  for (const Point& point : thinned(series.points)) {
    // A line that leaves the frame far behind would be a number of many digits.
    const double top = std::clamp(frame.top(point.y), -frame_size, 2 * frame_size);
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", frame.left(point.x), top);
  }
  return html("<path class=\"{} colour{}\" d=\"{}\"/>\n", series.has_dots ? "line" : "line thin",
              series.colour % colour_count, path);
}

/// A dot is a line of no length with round ends: it stays round however the frame is stretched.
Html dots_of(const Series& series, const Chart& chart, const Frame& frame) {
  Html dots;
  for (const Point& point : thinned(series.points)) {
    if (!frame.holds(point)) continue;
    const double left = frame.left(point.x);
    if (point.error > 0) {
      dots +=
          html("<path class=\"bar colour{}\" d=\"M{} {}V{}\"/>", series.colour % colour_count,
               fmt::format("{:.1f}", left), fmt::format("{:.1f}", frame.top(point.y - point.error)),
               fmt::format("{:.1f}", frame.top(point.y + point.error)));
    }
    const std::string error = point.error > 0 ? fmt::format(" ± {:.4g}", point.error) : "";
    dots += html(
        "<path class=\"dot colour{}\" d=\"M{} {}h0\"><title>{}: {}{} {}, {} {}</title></path>\n",
        series.colour % colour_count, fmt::format("{:.1f}", left),
        fmt::format("{:.1f}", frame.top(point.y)), series.name, fmt::format("{:.6g}", point.y),
        error, chart.y_title, fmt::format("{:.4g}", point.x), chart.x_title);
  }
  return dots;
}

Html axes_of(const Frame& frame, Html& labels) {
  Html lines;
  for (const double y : ticks_of(frame.y())) {
    const std::string top = fmt::format("{:.1f}", frame.top(y));
    lines += html("<path class=\"grid\" d=\"M0 {}H1000\"/>", top);
    labels += html("<span class=\"y\" style=\"top:{}%\">{}</span>",
                   fmt::format("{:.2f}", frame.top(y) / 10), tick_text(y, frame.y()));
  }
  for (const double x : ticks_of(frame.x())) {
    labels += html("<span class=\"x\" style=\"left:{}%\">{}</span>",
                   fmt::format("{:.2f}", frame.left(x) / 10), tick_text(x, frame.x()));
  }
  return lines;
}

}  // namespace

Html draw(const Chart& chart) {
  if (std::ranges::all_of(chart.series, [](const Series& one) { return one.points.empty(); })) {
    return {};
  }
  const Frame frame(chart);
  Html labels;
  Html lines = axes_of(frame, labels);
  for (const Series& series : chart.series) {
    if (!series.points.empty()) lines += line_of(series, frame);
  }
  for (const Series& series : chart.series) {
    if (series.has_dots) lines += dots_of(series, chart, frame);
  }
  return html(
      "<p class=\"axis\">{}</p>\n<div class=\"plot\">\n<svg viewBox=\"0 0 1000 1000\" "
      "preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{} over {}\">\n{}</svg>\n{}\n</div>\n"
      "<p class=\"axis right\">{}</p>\n",
      chart.y_title, chart.y_title, chart.x_title, lines, labels, chart.x_title);
}

}  // namespace relgrad::reporting
