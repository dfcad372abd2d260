#include "run/finite.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

namespace relgrad {

template <class T>
bool all_finite(std::span<const T> values) {
  // An exponent of ones is NaN or infinity. As whole numbers, so that the loop is vectorised.
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  constexpr Bits exponent = std::bit_cast<Bits>(std::numeric_limits<T>::infinity());
  Bits found = 0;
  for (const T value : values) {
    found |= static_cast<Bits>((std::bit_cast<Bits>(value) & exponent) == exponent);
  }
  return found == 0;
}

nlohmann::json number_or_word(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

template <class T>
nlohmann::json range_of(const std::string& name, std::span<const T> values) {
  double least = std::numeric_limits<double>::infinity();
  double most = -1;
  std::int64_t nonfinite = 0;
  for (const T value : values) {
    const double size = std::abs(static_cast<double>(value));
    if (!std::isfinite(size)) {
      ++nonfinite;
      continue;
    }
    least = std::min(least, size);
    most = std::max(most, size);
  }
  nlohmann::json range = {
      {"name", name}, {"min_abs", nullptr}, {"max_abs", nullptr}, {"nonfinite", nonfinite}};
  if (most >= 0) {
    range["min_abs"] = least;
    range["max_abs"] = most;
  }
  return range;
}

template bool all_finite(std::span<const float>);
template bool all_finite(std::span<const double>);
template nlohmann::json range_of(const std::string&, std::span<const float>);
template nlohmann::json range_of(const std::string&, std::span<const double>);

}  // namespace relgrad
