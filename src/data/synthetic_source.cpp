/// Samples drawn, not read. Sample i is a function of (seed, i): any shard layout holds the same
/// data.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <numbers>

#include "data/planted_ica.hpp"
#include "data/random_flow.hpp"
#include "data/sample_source.hpp"
#include "data/toy.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

/// Calls fill(stream of sample i, memory of sample i) for every sample.
class SyntheticSource : public SampleSource {
 public:
  void next(std::uint64_t count, std::byte* samples, std::int64_t* /*labels*/) override {
    for (std::uint64_t i = 0; i < count; ++i, ++done_) {
      fill(RandomStream(seed_, Purpose::synthetic, 0, done_), samples + i * row_bytes());
    }
  }

 protected:
  SyntheticSource(std::uint64_t seed, std::uint64_t rows) : seed_(seed) { rows_ = rows; }
  virtual void fill(const RandomStream& stream, std::byte* sample) = 0;
  /// The sample that comes next, or is being filled.
  std::uint64_t row() const { return done_; }

 private:
  std::uint64_t seed_;
  std::uint64_t done_ = 0;
};

class ToySource final : public SyntheticSource {
 public:
  ToySource(const std::string& name, std::uint64_t seed, std::uint64_t rows)
      : SyntheticSource(seed, rows), toy_(name) {
    type_ = ElementType::float32;
    sample_shape_ = {2};
    true_entropy_nats_ = toy_.entropy_nats();
  }

 private:
  void fill(const RandomStream& stream, std::byte* sample) override {
    const std::array<double, 2> point = toy_.sample(stream);
    const std::array<float, 2> narrow{static_cast<float>(point[0]), static_cast<float>(point[1])};
    std::memcpy(sample, narrow.data(), sizeof narrow);
  }

  Toy toy_;
};

class FlowSource final : public SyntheticSource {
 public:
  FlowSource(Index dimension, std::uint64_t seed, std::uint64_t rows)
      : SyntheticSource(seed, rows), flow_(seed, dimension) {
    type_ = ElementType::float32;
    sample_shape_ = {dimension};
    true_entropy_nats_ = flow_.entropy_nats();
  }

 private:
  void fill(const RandomStream& stream, std::byte* sample) override {
    Vector<double> z(flow_.dimension());
    stream.normal(std::span<double>(z.data(), static_cast<std::size_t>(z.size())));
    const Vector<float> x = flow_.sample(z).cast<float>();
    std::memcpy(sample, x.data(), static_cast<std::size_t>(x.size()) * sizeof(float));
  }

  RandomFlow flow_;
};

class IcaSource final : public SyntheticSource {
 public:
  IcaSource(Index dimension, std::uint64_t seed, std::uint64_t rows)
      : SyntheticSource(seed, rows), ica_(seed, dimension) {
    type_ = ElementType::float32;
    sample_shape_ = {dimension};
    has_sources_ = true;
  }
  void next(std::uint64_t count, std::byte* samples, std::int64_t* labels) override {
    last_sources_.clear();
    SyntheticSource::next(count, samples, labels);
  }

 private:
  void fill(const RandomStream& stream, std::byte* sample) override {
    const Vector<double> s = ica_.sources(stream);
    last_sources_.insert(last_sources_.end(), s.begin(), s.end());
    const Vector<float> x = ica_.mix(s).cast<float>();
    std::memcpy(sample, x.data(), static_cast<std::size_t>(x.size()) * sizeof(float));
  }

  PlantedIca ica_;
};

/// Independent sources behind a random flow, whose scales change from segment to segment: a time
/// series for nonlinear ICA, which segments as labels make identifiable (Khemakhem et al. 2020,
/// arXiv 1907.04809). The series runs through the segments in turn, again and again.
class SegmentsSource final : public SyntheticSource {
 public:
  SegmentsSource(Index dimension, Index segments, std::uint64_t seed, std::uint64_t rows)
      : SyntheticSource(seed, rows), flow_(seed, dimension), scales_(dimension, segments) {
    type_ = ElementType::float32;
    sample_shape_ = {dimension};
    has_sources_ = true;
    has_labels_ = true;
    // log-uniform in [1/3, 3], of every source and segment
    RandomStream(seed, Purpose::synthetic, 3, 0)
        .uniform(std::span<double>(scales_.data(), static_cast<std::size_t>(scales_.size())));
    scales_ = ((2 * scales_.array() - 1) * std::log(3.0)).exp();
  }
  void next(std::uint64_t count, std::byte* samples, std::int64_t* labels) override {
    last_sources_.clear();
    const std::uint64_t first = row();
    SyntheticSource::next(count, samples, labels);
    for (std::uint64_t i = 0; labels != nullptr && i < count; ++i) {
      labels[i] = segment_of(first + i);
    }
  }

 private:
  static constexpr std::uint64_t segment_rows = 64;

  Index segment_of(std::uint64_t row) const {
    return static_cast<Index>(row / segment_rows) % scales_.cols();
  }

  void fill(const RandomStream& stream, std::byte* sample) override {
    Vector<double> s(flow_.dimension());
    stream.normal(std::span<double>(s.data(), static_cast<std::size_t>(s.size())));
    s.array() *= scales_.col(segment_of(row())).array();
    last_sources_.insert(last_sources_.end(), s.begin(), s.end());
    const Vector<float> x = flow_.sample(s).cast<float>();
    std::memcpy(sample, x.data(), static_cast<std::size_t>(x.size()) * sizeof(float));
  }

  RandomFlow flow_;
  Matrix<double> scales_;  // D x segments
};

/// Grey images with structure at several scales: a linear gradient, three soft blobs, two strokes
/// and pixel noise (deviation 4 levels). Neighbouring pixels are strongly dependent, as in
/// photographs.
class ImagesSource final : public SyntheticSource {
 public:
  ImagesSource(const ImageSize& size, std::uint64_t seed, std::uint64_t rows)
      : SyntheticSource(seed, rows), size_(size) {
    sample_shape_ = {1, size.height, size.width};
  }

 private:
  static constexpr std::size_t blobs = 3;
  static constexpr std::size_t strokes = 2;
  static constexpr std::size_t shape_draws = 3 + 4 * blobs + 6 * strokes;

  /// Positions run over the unit square whatever the size.
  static double shade(const std::array<double, shape_draws>& u, double x, double y) {
    const double angle = 2 * std::numbers::pi * u[1];
    double value =
        40 + 60 * u[0] + 50 * u[2] * ((x - 0.5) * std::cos(angle) + (y - 0.5) * std::sin(angle));
    const double* draw = u.data() + 3;
    for (std::size_t i = 0; i < blobs; ++i, draw += 4) {
      const double width = 0.08 + 0.17 * draw[2];
      const double squared = (x - draw[0]) * (x - draw[0]) + (y - draw[1]) * (y - draw[1]);
      value += (200 * draw[3] - 80) * std::exp(-squared / (2 * width * width));
    }
    for (std::size_t i = 0; i < strokes; ++i, draw += 6) {
      const double distance = distance_to_segment(x, y, draw);
      const double width = 0.02 + 0.03 * draw[4];
      value += 150 * draw[5] * std::exp(-distance * distance / (2 * width * width));
    }
    return value;
  }

  /// From (x, y) to the segment between (ends[0], ends[1]) and (ends[2], ends[3]).
  static double distance_to_segment(double x, double y, const double* ends) {
    const double dx = ends[2] - ends[0];
    const double dy = ends[3] - ends[1];
    const double along = std::clamp(
        ((x - ends[0]) * dx + (y - ends[1]) * dy) / (dx * dx + dy * dy + 1e-12), 0.0, 1.0);
    return std::hypot(x - ends[0] - along * dx, y - ends[1] - along * dy);
  }

  void fill(const RandomStream& stream, std::byte* sample) override {
    const auto pixels = static_cast<std::size_t>(size_.height * size_.width);
    // Of one stream: the first draws are the shapes', the rest the noise, uniform on 14 levels.
    std::vector<float> uniform(shape_draws + pixels);
    stream.uniform(std::span<float>(uniform));
    std::array<double, shape_draws> shapes{};
    std::copy_n(uniform.begin(), shape_draws, shapes.begin());
    for (Index row = 0; row < size_.height; ++row) {
      for (Index column = 0; column < size_.width; ++column) {
        const Index i = row * size_.width + column;
        const double x = (static_cast<double>(column) + 0.5) / static_cast<double>(size_.width);
        const double y = (static_cast<double>(row) + 0.5) / static_cast<double>(size_.height);
        const double noise = 14 * (uniform[shape_draws + static_cast<std::size_t>(i)] - 0.5);
        const double value = std::clamp(shade(shapes, x, y) + noise, 0.0, 255.0);
        sample[i] = static_cast<std::byte>(value);
      }
    }
  }

  ImageSize size_;
};

/// Number `place` of "WORD:0:1:..."; `otherwise` if there are fewer.
Index parse_dimension(const std::string& kind, Index otherwise, int place = 0) {
  std::size_t colon = kind.find(':');
  for (; place > 0 && colon != std::string::npos; --place) colon = kind.find(':', colon + 1);
  if (colon == std::string::npos) return otherwise;
  const std::string text = kind.substr(colon + 1, kind.find(':', colon + 1) - colon - 1);
  Index dimension = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), dimension);
  constexpr Index largest = 16384;
  if (error != std::errc() || end != text.data() + text.size() || dimension < 1 ||
      dimension > largest) {
    throw UsageError(
        fmt::format("--synthetic {}: '{}' is no dimension from 1 to {}", kind, text, largest));
  }
  return dimension;
}

}  // namespace

std::unique_ptr<SampleSource> make_synthetic_source(const std::string& kind, std::uint64_t seed,
                                                    std::uint64_t rows,
                                                    const std::optional<ImageSize>& size) {
  if (kind == "images") {
    return std::make_unique<ImagesSource>(size.value_or(ImageSize{28, 28}), seed, rows);
  }
  if (kind.starts_with("toy:")) return std::make_unique<ToySource>(kind.substr(4), seed, rows);
  if (kind == "flow" || kind.starts_with("flow:")) {
    return std::make_unique<FlowSource>(parse_dimension(kind, 16), seed, rows);
  }
  if (kind == "ica" || kind.starts_with("ica:")) {
    return std::make_unique<IcaSource>(parse_dimension(kind, 8), seed, rows);
  }
  if (kind == "ica-segments" || kind.starts_with("ica-segments:")) {
    return std::make_unique<SegmentsSource>(parse_dimension(kind, 8), parse_dimension(kind, 20, 1),
                                            seed, rows);
  }
  throw UsageError(
      fmt::format("--synthetic {}: choose images, toy:NAME, flow[:D], ica[:D] or "
                  "ica-segments[:D[:SEGMENTS]]",
                  kind));
}

}  // namespace relgrad
