#include "data/planted_ica.hpp"

#include <Eigen/QR>
#include <cmath>
#include <numbers>
#include <span>

namespace relgrad {

namespace {

constexpr double leak = 0.3;

/// Variance 1 from u in (0, 1): density exp(-sqrt(2) |s|) / sqrt(2).
double laplace(double u) {
  const double magnitude = -std::log(1 - std::abs(2 * u - 1)) / std::sqrt(2.0);
  return u < 0.5 ? -magnitude : magnitude;
}

/// Variance 1: uniform on [-sqrt(3), sqrt(3)].
double uniform(double u) { return std::sqrt(3.0) * (2 * u - 1); }

}  // namespace

PlantedIca::PlantedIca(std::uint64_t seed, Index dimension) : mixing_(dimension, dimension) {
  RandomStream(seed, Purpose::synthetic, 2, 0)
      .normal(std::span<double>(mixing_.data(), static_cast<std::size_t>(mixing_.size())));
  mixing_ = Matrix<double>(Eigen::HouseholderQR<Matrix<double>>(mixing_).householderQ());
  Vector<double> exponent(dimension);
  RandomStream(seed, Purpose::synthetic, 2, 1)
      .uniform(std::span<double>(exponent.data(), static_cast<std::size_t>(dimension)));
  mixing_ *= ((2 * exponent.array() - 1) * std::numbers::ln2).exp().matrix().asDiagonal();
  mixing_.rowwise().normalize();
}

Vector<double> PlantedIca::sources(const RandomStream& stream) const {
  Vector<double> s(dimension());
  stream.uniform(std::span<double>(s.data(), static_cast<std::size_t>(s.size())));
  for (Index i = 0; i < s.size(); ++i) s(i) = i % 2 == 0 ? laplace(s(i)) : uniform(s(i));
  return s;
}

Vector<double> PlantedIca::mix(const Vector<double>& sources) const {
  const Vector<double> u = mixing_ * sources;
  return u.unaryExpr([](double value) { return std::tanh(value) + leak * value; });
}

}  // namespace relgrad
