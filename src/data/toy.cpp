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

/// Two half circles of radius 2, one turned over and shifted, with noise 0.2.
Point moons(const Draws& d) {
  const double angle = pi * d.uniform[0];
  const bool upper = d.uniform[1] < 0.5;
  const double x = upper ? 2 * std::cos(angle) - 1 : 1 - 2 * std::cos(angle);
  const double y = upper ? 2 * std::sin(angle) - 0.5 : 0.5 - 2 * std::sin(angle);
  return {x + 0.2 * d.normal[0], y + 0.2 * d.normal[1]};
}

/// Circles of radius 1, 2, 3, 4, equally likely, with noise 0.1.
Point rings(const Draws& d) {
  const double radius = 1 + std::floor(4 * d.uniform[0]);
  const double angle = 2 * pi * d.uniform[1];
  return {radius * std::cos(angle) + 0.1 * d.normal[0],
          radius * std::sin(angle) + 0.1 * d.normal[1]};
}

/// Two arms of one and a half turns out to radius 4, with noise 0.15.
Point spirals(const Draws& d) {
  const double along = std::sqrt(d.uniform[0]);
  const double angle = 3 * pi * along + (d.uniform[1] < 0.5 ? 0.0 : pi);
  return {4 * along * std::cos(angle) + 0.15 * d.normal[0],
          4 * along * std::sin(angle) + 0.15 * d.normal[1]};
}

/// Uniform on the 8 dark squares, of side 2, of a 4 x 4 board on [-4, 4]^2.
Point checkerboard(const Draws& d) {
  const double row = std::floor(4 * d.uniform[0]);
  const double column = 2 * std::floor(2 * d.uniform[1]) + std::fmod(row, 2.0);
  return {2 * (column + d.uniform[2]) - 4, 2 * (row + d.uniform[3]) - 4};
}

/// Normal clouds of deviation 0.3 at eight places on a circle of radius 3.
Point eight_gaussians(const Draws& d) {
  const double angle = pi / 4 * std::floor(8 * d.uniform[0]);
  return {3 * std::cos(angle) + 0.3 * d.normal[0], 3 * std::sin(angle) + 0.3 * d.normal[1]};
}

struct Kind {
  const char* name;
  Point (*sample)(const Draws&);
};
constexpr Kind kinds[] = {{"gaussian", gaussian},
                          {"moons", moons},
                          {"rings", rings},
                          {"spirals", spirals},
                          {"checkerboard", checkerboard},
                          {"eight-gaussians", eight_gaussians}};

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
  return kinds[kind_].sample(draws);
}

std::optional<double> Toy::entropy_nats() const {
  const std::string name = kinds[kind_].name;
  // H = log(2 pi e) + 1/2 log det C of a normal; log(area) of a uniform distribution.
  if (name == "gaussian") {
    return std::log(2 * pi * std::numbers::e) + std::log(1 - correlation * correlation) / 2;
  }
  if (name == "checkerboard") return std::log(32.0);
  return std::nullopt;
}

}  // namespace relgrad
