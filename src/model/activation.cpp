#include "model/activation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "core/columns.hpp"
#include "model/kernels/elementwise_kernels.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

template <class T>
void check_batch(std::string_view where, Index rows, const ConstMatrixMap<T>& input,
                 const MatrixMap<T>& output) {
  check_size(where, "rows of the batch", input.rows(), rows);
  check_size(where, "rows of the output", output.rows(), rows);
  check_size(where, "columns of the output", output.cols(), input.cols());
}

struct ValueAndSlope {
  double value;
  double slope;
};

/// Root of the increasing function f(y) = target between low and high: Newton from `start`, halving
/// the bracket where a step would leave it, until a step no longer changes y by more than rounding.
template <class Function>
double solve_increasing(const Function& f, double target, double low, double high, double start) {
  double y = start;
  for (int iteration = 0; iteration < 200; ++iteration) {
    const ValueAndSlope at = f(y);
    (at.value > target ? high : low) = y;
    double next = y - (at.value - target) / at.slope;
    if (!(next >= low && next <= high)) next = 0.5 * (low + high);
    const double step = std::abs(next - y);
    y = next;
    if (!(step > std::numeric_limits<double>::epsilon() * std::abs(y))) break;
  }
  return y;
}

ValueAndSlope smooth_leaky_relu(double y, double a) {
  const double e = std::exp(-std::abs(y));
  return {a * y + (1.0 - a) * (std::max(y, 0.0) + std::log1p(e)),
          a + (1.0 - a) * (y < 0.0 ? e : 1.0) / (1.0 + e)};
}

// max(y, a y) <= s(y) <= max(y, a y) + (1 - a) log 2, and s is convex: Newton from the upper end
// comes down to the root without ever passing it.
double inverse_smooth_leaky_relu(double target, double a) {
  const auto inverse_of_bound = [a](double t) { return t < 0.0 ? t / a : t; };
  const double high = inverse_of_bound(target);
  const double low = inverse_of_bound(target - (1.0 - a) * std::numbers::ln2);
  return solve_increasing([a](double y) { return smooth_leaky_relu(y, a); }, target, low, high,
                          high);
}

ValueAndSlope leaky_tanh(double y, double a, double c) {
  const double e = std::exp(-2.0 * std::abs(a * y));
  return {std::tanh(a * y) + c * y, a * 4.0 * e / ((1.0 + e) * (1.0 + e)) + c};
}

// s is odd, and concave for y > 0 with max(0, c y + tanh) <= min((a + c) y, 1 + c y): Newton from
// the lower end comes up to the root without ever passing it.
double inverse_leaky_tanh(double target, double a, double c) {
  const double magnitude = std::abs(target);
  const double low = std::max(magnitude / (a + c), (magnitude - 1.0) / c);
  const double y = solve_increasing([a, c](double u) { return leaky_tanh(u, a, c); }, magnitude,
                                    low, magnitude / c, low);
  return std::copysign(y, target);
}

template <class T, class Inverse>
void inverse_of_batch(const ConstMatrixMap<T>& output, MatrixMap<T> input, const Inverse& inverse) {
  for_each_sample(output.rows(), output.cols(), [&](Index n) {
    for (Index i = 0; i < output.rows(); ++i) {
      input(i, n) = static_cast<T>(inverse(static_cast<double>(output(i, n))));
    }
  });
}

}  // namespace

template <class T>
SmoothLeakyRelu<T>::SmoothLeakyRelu(const SampleShape& shape, Index own, double slope)
    : shape_(shape), own_(own), slope_(slope) {
  if (!(slope > 0.0 && slope < 1.0)) {
    throw UsageError(
        fmt::format("smooth leaky ReLU: slope is {}, must lie between 0 and 1, both excluded. "
                    "Use 0.3 or 0.01.",
                    slope));
  }
}

template <class T>
void SmoothLeakyRelu<T>::forward(LayerPass<T> pass) const {
  check_batch("SmoothLeakyRelu::forward", own_, pass.input, pass.output);
  for_each_sample(own_, pass.input.cols(), [&](Index n) {
    pass.log_likelihood[static_cast<std::size_t>(n)] += kernels::smooth_leaky_relu_forward(
        pass.input.data() + n * own_, pass.output.data() + n * own_, own_, static_cast<T>(slope_));
  });
}

template <class T>
void SmoothLeakyRelu<T>::inverse(const ConstMatrixMap<T>& output,
                                 const ConstMatrixMap<T>& /*latent*/, MatrixMap<T> input,
                                 InverseKind /*kind*/) const {
  check_batch("SmoothLeakyRelu::inverse", own_, output, input);
  // The slope as the forward pass rounds it.
  const auto slope = static_cast<double>(static_cast<T>(slope_));
  inverse_of_batch<T>(output, input,
                      [=](double value) { return inverse_smooth_leaky_relu(value, slope); });
}

template <class T>
void SmoothLeakyRelu<T>::backward(LayerPass<T> pass, LayerDelta<T> delta,
                                  GradientSink<T>& /*sink*/) const {
  check_batch("SmoothLeakyRelu::backward", own_, pass.input, delta.input);
  for_each_sample(own_, pass.input.cols(), [&](Index n) {
    kernels::smooth_leaky_relu_backward(
        pass.input.data() + n * own_, delta.output.data() + n * own_, delta.input.data() + n * own_,
        own_, static_cast<T>(slope_));
  });
}

template <class T>
LeakyTanh<T>::LeakyTanh(const SampleShape& shape, Index own, double scale, double slope)
    : shape_(shape), own_(own), scale_(scale), slope_(slope) {
  if (!(scale > 0.0 && slope > 0.0)) {
    throw UsageError(
        fmt::format("leaky tanh: scale is {} and slope {}, both must be positive. Use 1 and 0.1.",
                    scale, slope));
  }
}

template <class T>
void LeakyTanh<T>::forward(LayerPass<T> pass) const {
  check_batch("LeakyTanh::forward", own_, pass.input, pass.output);
  for_each_sample(own_, pass.input.cols(), [&](Index n) {
    pass.log_likelihood[static_cast<std::size_t>(n)] +=
        kernels::leaky_tanh_forward(pass.input.data() + n * own_, pass.output.data() + n * own_,
                                    own_, static_cast<T>(scale_), static_cast<T>(slope_));
  });
}

template <class T>
void LeakyTanh<T>::inverse(const ConstMatrixMap<T>& output, const ConstMatrixMap<T>& /*latent*/,
                           MatrixMap<T> input, InverseKind /*kind*/) const {
  check_batch("LeakyTanh::inverse", own_, output, input);
  const auto scale = static_cast<double>(static_cast<T>(scale_));
  const auto slope = static_cast<double>(static_cast<T>(slope_));
  inverse_of_batch<T>(output, input,
                      [=](double value) { return inverse_leaky_tanh(value, scale, slope); });
}

template <class T>
void LeakyTanh<T>::backward(LayerPass<T> pass, LayerDelta<T> delta,
                            GradientSink<T>& /*sink*/) const {
  check_batch("LeakyTanh::backward", own_, pass.input, delta.input);
  for_each_sample(own_, pass.input.cols(), [&](Index n) {
    kernels::leaky_tanh_backward(pass.input.data() + n * own_, delta.output.data() + n * own_,
                                 delta.input.data() + n * own_, own_, static_cast<T>(scale_),
                                 static_cast<T>(slope_));
  });
}

template class SmoothLeakyRelu<float>;
template class SmoothLeakyRelu<double>;
template class LeakyTanh<float>;
template class LeakyTanh<double>;

}  // namespace relgrad
