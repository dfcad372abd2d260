#include "data/toy.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <numbers>

#include "relgrad/core/error.hpp"
#include "relgrad/data/prepare.hpp"

namespace relgrad {

namespace {

using Point = std::array<double, 2>;
/// What a sample is made of: three uniforms in (0, 1) and two standard normals.
struct Draws {
  std::array<double, 4> uniform;
  std::array<double, 2> normal;
};

constexpr double pi = std::numbers::pi;
constexpr double correlation = 0.8;  // of "gaussian", unit variances

/// Covariance [[1, c], [c, 1]].
Point gaussian(const Draws& d) {
  return {d.normal[0],
          correlation * d.normal[0] + std::sqrt(1 - correlation * correlation) * d.normal[1]};
}

// Most toys are a place on a curve, from two uniforms in (0, 1), and normal noise.

/// Two half circles of radius 2, one turned over and shifted.
Point on_moons(double u, double v) {
  const double angle = pi * u;
  const bool upper = v < 0.5;
  const double x = upper ? 2 * std::cos(angle) - 1 : 1 - 2 * std::cos(angle);
  const double y = upper ? 2 * std::sin(angle) - 0.5 : 0.5 - 2 * std::sin(angle);
  return {x, y};
}

/// Circles of radius 1, 2, 3, 4, equally likely.
Point on_rings(double u, double v) {
  const double radius = 1 + std::floor(4 * v);
  const double angle = 2 * pi * u;
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

/// Two arms of one and a half turns out to radius 4.
Point on_spirals(double u, double v) {
  const double along = std::sqrt(u);
  const double angle = 3 * pi * along + (v < 0.5 ? 0.0 : pi);
  return {4 * along * std::cos(angle), 4 * along * std::sin(angle)};
}

/// Eight places on a circle of radius 3.
Point on_eight(double /*u*/, double v) {
  const double angle = pi / 4 * std::floor(8 * v);
  return {3 * std::cos(angle), 3 * std::sin(angle)};
}

struct Curve {
  Point (*place)(double u, double v);
  int parts;         // v in [k / parts, (k + 1) / parts) means the same part
  double deviation;  // of the noise
};
constexpr Curve moons{on_moons, 2, 0.2};
constexpr Curve rings{on_rings, 4, 0.1};
constexpr Curve spirals{on_spirals, 2, 0.15};
constexpr Curve eight_gaussians{on_eight, 8, 0.3};

Point with_noise(const Curve& curve, const Draws& d) {
  const Point place = curve.place(d.uniform[0], d.uniform[1]);
  return {place[0] + curve.deviation * d.normal[0], place[1] + curve.deviation * d.normal[1]};
}

/// The curve as points closer than a twentieth of the noise.
GaussianCloud cloud_of(const Curve& curve) {
  constexpr int points = 4000;
  GaussianCloud cloud{{}, curve.deviation};
  for (int part = 0; part < curve.parts; ++part) {
    for (int i = 0; i < points; ++i) {
      cloud.centres.push_back(curve.place((i + 0.5) / points, (part + 0.5) / curve.parts));
    }
  }
  return cloud;
}

/// Uniform on the 8 dark squares, of side 2, of a 4 x 4 board on [-4, 4]^2.
Point checkerboard(const Draws& d) {
  const double row = std::floor(4 * d.uniform[0]);
  const double column = 2 * std::floor(2 * d.uniform[1]) + std::fmod(row, 2.0);
  return {2 * (column + d.uniform[2]) - 4, 2 * (row + d.uniform[3]) - 4};
}

struct Kind {
  const char* name;
  Point (*sample)(const Draws&);
  const Curve* curve;  // without `sample`
};
constexpr Kind kinds[] = {{"gaussian", gaussian, nullptr},
                          {"moons", nullptr, &moons},
                          {"rings", nullptr, &rings},
                          {"spirals", nullptr, &spirals},
                          {"checkerboard", checkerboard, nullptr},
                          {"eight-gaussians", nullptr, &eight_gaussians}};

}  // namespace

std::vector<std::string> toy_names() {
  std::vector<std::string> names;
  for (const Kind& kind : kinds) names.emplace_back(kind.name);
  return names;
}

Toy::Toy(const std::string& name) : kind_(0) {
  for (const Kind& kind : kinds) {
    if (name == kind.name) return;
    ++kind_;
  }
  throw UsageError(fmt::format("--synthetic toy:{}: no such toy; choose one of {}", name,
                               fmt::join(toy_names(), ", ")));
}

Point Toy::sample(const RandomStream& stream) const {
  std::array<double, 8> uniform{};
  stream.uniform(uniform);
  // Box-Muller from the fifth and sixth.
  const double radius = std::sqrt(-2 * std::log(uniform[4]));
  const Draws draws{
      {uniform[0], uniform[1], uniform[2], uniform[3]},
      {radius * std::cos(2 * pi * uniform[5]), radius * std::sin(2 * pi * uniform[5])}};
  const Kind& kind = kinds[kind_];
  return kind.curve == nullptr ? kind.sample(draws) : with_noise(*kind.curve, draws);
}

double Toy::entropy_nats() const {
  if (kinds[kind_].curve != nullptr) return cloud_of(*kinds[kind_].curve).entropy_nats();
  // H = log(2 pi e) + 1/2 log det C of a normal; log(area) of a uniform distribution.
  if (kinds[kind_].sample == gaussian) {
    return std::log(2 * pi * std::numbers::e) + std::log(1 - correlation * correlation) / 2;
  }
  return std::log(32.0);
}

std::optional<GaussianCloud> Toy::cloud() const {
  if (kinds[kind_].curve == nullptr) return std::nullopt;
  return cloud_of(*kinds[kind_].curve);
}

}  // namespace relgrad
