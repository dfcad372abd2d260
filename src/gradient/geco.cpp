#include "gradient/geco.hpp"

#include <algorithm>
#include <cmath>

namespace relgrad {

namespace {
constexpr double decay = 0.9;
constexpr double rate = 1e-3;
}  // namespace

template <class T>
void update_reconstruction(std::span<T> state, double error, double tolerance, std::int64_t step) {
  state[1] = static_cast<T>(decay * static_cast<double>(state[1]) + (1.0 - decay) * error);
  if (tolerance <= 0) return;
  const double mean = reconstruction_error(std::span<const T>(state), step + 1);
  state[0] += static_cast<T>(rate * std::min(mean / tolerance - 1.0, 1.0));
}

template <class T>
double reconstruction_error(std::span<const T> state, std::int64_t steps) {
  if (steps == 0) return 0;
  return static_cast<double>(state[1]) / (1.0 - std::pow(decay, static_cast<double>(steps)));
}

template void update_reconstruction(std::span<float>, double, double, std::int64_t);
template void update_reconstruction(std::span<double>, double, double, std::int64_t);
template double reconstruction_error(std::span<const float>, std::int64_t);
template double reconstruction_error(std::span<const double>, std::int64_t);

}  // namespace relgrad
