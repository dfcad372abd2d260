#include "data/random_flow.hpp"

#include <Eigen/QR>
#include <cmath>
#include <numbers>

namespace relgrad {

namespace {

constexpr double slope = 0.3;

/// s(u) = a u + (1 - a) log(1 + e^u).
double smooth_leaky_relu(double u) {
  const double log_one_plus_exp = std::max(u, 0.0) + std::log1p(std::exp(-std::abs(u)));
  return slope * u + (1 - slope) * log_one_plus_exp;
}

/// s'(u) = a + (1 - a) / (1 + e^-u), in (a, 1).
double derivative(double u) { return slope + (1 - slope) / (1 + std::exp(-u)); }

/// s^-1(y) by Newton's method: s is convex and increasing, and from the right of the root the
/// iterates fall to it. s(u) >= u and s(u) >= a u, so the root lies left of min(y, y / a).
double inverse(double y) {
  double u = std::min(y, y / slope);
  for (int i = 0; i < 100; ++i) {
    const double step = (smooth_leaky_relu(u) - y) / derivative(u);
    u -= step;
    if (std::abs(step) <= 1e-15 * (1 + std::abs(u))) break;
  }
  return u;
}

/// Q diag(scale), scale log-uniform in [low, high]; draws from item `item` of the seed's streams.
Matrix<double> random_factor(std::uint64_t seed, std::uint64_t item, Index dimension, double low,
                             double high, double& log_abs_det) {
  Matrix<double> normal(dimension, dimension);
  RandomStream(seed, Purpose::synthetic, 1, item)
      .normal(std::span<double>(normal.data(), static_cast<std::size_t>(normal.size())));
  Matrix<double> factor = Eigen::HouseholderQR<Matrix<double>>(normal).householderQ();
  Vector<double> uniform(dimension);
  RandomStream(seed, Purpose::synthetic, 1, item + 1)
      .uniform(std::span<double>(uniform.data(), static_cast<std::size_t>(dimension)));
  const Vector<double> log_scale =
      (std::log(low) + uniform.array() * std::log(high / low)).matrix();
  log_abs_det = log_scale.sum();
  factor *= log_scale.array().exp().matrix().asDiagonal();
  return factor;
}

Vector<double> random_shift(std::uint64_t seed, std::uint64_t item, Index dimension) {
  Vector<double> shift(dimension);
  RandomStream(seed, Purpose::synthetic, 1, item)
      .normal(std::span<double>(shift.data(), static_cast<std::size_t>(dimension)));
  return shift;
}

/// E g(y), y normal: the trapezoid rule on [-12, 12] standard deviations, which converges faster
/// than any power of the step for smooth g.
template <class Function>
double normal_expectation(double mean, double deviation, const Function& g) {
  constexpr int points = 2400;
  constexpr double step = 24.0 / points;
  double sum = 0;
  for (int i = 0; i <= points; ++i) {
    const double t = -12.0 + step * i;
    sum += std::exp(-t * t / 2) * g(mean + deviation * t);
  }
  return sum * step / std::sqrt(2 * std::numbers::pi);
}

}  // namespace

RandomFlow::RandomFlow(std::uint64_t seed, Index dimension)
    : factor1_(random_factor(seed, 0, dimension, 1.0, 4.0, log_abs_det1_)),
      factor2_(random_factor(seed, 2, dimension, 0.5, 2.0, log_abs_det2_)),
      shift1_(random_shift(seed, 4, dimension)),
      shift2_(random_shift(seed, 5, dimension)) {}

Vector<double> RandomFlow::sample(const Vector<double>& z) const {
  const Vector<double> y = factor1_ * z + shift1_;
  const Vector<double> u = y.unaryExpr(&inverse);
  return factor2_ * u + shift2_;
}

double RandomFlow::log_density(const Vector<double>& x) const {
  const Vector<double> u = factor2_.colPivHouseholderQr().solve(x - shift2_);
  const Vector<double> y = u.unaryExpr(&smooth_leaky_relu);
  const Vector<double> z = factor1_.colPivHouseholderQr().solve(y - shift1_);
  const double log_slopes = u.unaryExpr(&derivative).array().log().sum();
  const double log_normal =
      -z.squaredNorm() / 2 - static_cast<double>(dimension()) / 2 * std::log(2 * std::numbers::pi);
  return log_normal + log_slopes - log_abs_det1_ - log_abs_det2_;
}

double RandomFlow::entropy_nats() const {
  double entropy =
      static_cast<double>(dimension()) / 2 * std::log(2 * std::numbers::pi * std::numbers::e) +
      log_abs_det1_ + log_abs_det2_;
  for (Index i = 0; i < dimension(); ++i) {
    entropy -= normal_expectation(shift1_(i), factor1_.row(i).norm(),
                                  [](double y) { return std::log(derivative(inverse(y))); });
  }
  return entropy;
}

}  // namespace relgrad
