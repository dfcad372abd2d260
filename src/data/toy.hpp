#pragma once
/// Distributions in two dimensions to look at.
#include <array>
#include <optional>
#include <string>

#include "relgrad/core/random.hpp"

namespace relgrad {

/// A toy by name; @throws UsageError naming the choices.
class Toy {
 public:
  explicit Toy(const std::string& name);
  std::array<double, 2> sample(const RandomStream& stream) const;
  std::optional<double> entropy_nats() const;

 private:
  std::size_t kind_;
};

}  // namespace relgrad
