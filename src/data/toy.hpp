#pragma once
/// Distributions in two dimensions to look at.
#include <array>
#include <optional>
#include <string>

#include "data/gaussian_cloud.hpp"
#include "relgrad/core/random.hpp"

namespace relgrad {

/// A toy by name; @throws UsageError naming the choices.
class Toy {
 public:
  explicit Toy(const std::string& name);
  std::array<double, 2> sample(const RandomStream& stream) const;
  /// In closed form, or by quadrature to 1e-5.
  double entropy_nats() const;
  /// Its density, of those that are a curve with noise.
  std::optional<GaussianCloud> cloud() const;

 private:
  std::size_t kind_;
};

}  // namespace relgrad
