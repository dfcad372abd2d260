// Times the functions of relgrad/convolution on one shape; tools/bench/convolutions.py runs it.
// usage: convolution_bench CHANNELS_IN CHANNELS_OUT HEIGHT WIDTH TAPS zero|circular BATCH RUNS
// Checks first, then prints one JSON object: least and median milliseconds of each function.
// Exit codes: 0 done, 1 a check failed, 2 usage.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "convolution/convolution.hpp"
#include "convolution/exact_convolution.hpp"
#include "relgrad/core/random.hpp"

namespace {

using namespace relgrad;

std::vector<float> draw(Index count, std::uint64_t item, double scale) {
  std::vector<float> values(static_cast<std::size_t>(count));
  RandomStream(/*seed=*/1, Purpose::test, 0, item).normal(values);
  for (float& value : values) value *= static_cast<float>(scale);
  return values;
}

template <class Work>
void report(const char* name, int runs, const Work& work) {
  std::vector<double> milliseconds;
  for (int run = -2; run < runs; ++run) {
    const auto start = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double, std::milli> taken =
        std::chrono::steady_clock::now() - start;
    if (run >= 0) milliseconds.push_back(taken.count());
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  fmt::print(", \"{}\": {{\"least\": {:.4f}, \"median\": {:.4f}}}", name, milliseconds.front(),
             milliseconds[milliseconds.size() / 2]);
}

double inner(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  }
  return sum;
}

int run(const ConvolutionShape& shape, Index batch, int runs) {
  check_convolution("convolution_bench", shape);
  const double noise =
      0.3 / std::sqrt(static_cast<double>(shape.channels_in)) / static_cast<double>(shape.taps);
  std::vector<float> weights = draw(shape.weights(), 1, noise);
  const Index square = shape.taps * shape.taps;
  for (Index c = 0; c < std::min(shape.channels_in, shape.channels_out); ++c) {
    weights[static_cast<std::size_t>((c * shape.channels_in + c) * square + square / 2)] += 1.0F;
  }
  const std::vector<float> x = draw(shape.inputs() * batch, 2, 1.0);
  const std::vector<float> delta = draw(shape.outputs() * batch, 3, 1.0);
  std::vector<float> y(delta.size());
  std::vector<float> delta_in(x.size());
  std::vector<float> weight_sums(weights.size());
  std::vector<float> bias_sums(static_cast<std::size_t>(shape.channels_out));
  std::vector<float> scratch(static_cast<std::size_t>(convolution_scratch_size<float>(shape)));
  const ConstMatrixMap<float> x_view(x.data(), shape.inputs(), batch);
  const ConstMatrixMap<float> delta_view(delta.data(), shape.outputs(), batch);
  const auto forward = [&] {
    convolve<float>(shape, weights, {}, x_view, {y.data(), shape.outputs(), batch}, scratch);
  };
  const auto input = [&] {
    convolve_transposed<float>(shape, weights, delta_view, {delta_in.data(), shape.inputs(), batch},
                               scratch);
  };
  const auto weight = [&] {
    add_weight_gradient<float>(shape, x_view, delta_view, weight_sums, bias_sums, scratch);
  };

  // <delta, w * x> = <w^T * delta, x> = <delta corr x, w>, up to rounding
  forward();
  input();
  weight();
  const double expected = inner(delta, y);
  const double size = std::sqrt(inner(delta, delta) * inner(y, y));
  for (const double other : {inner(delta_in, x), inner(weight_sums, weights)}) {
    if (!(std::abs(other - expected) <= 1e-5 * size)) {
      fmt::print(stderr, "convolution_bench: {} and {} should be equal\n", expected, other);
      return 1;
    }
  }

  fmt::print("{{\"flops\": {:.0f}", 2.0 * static_cast<double>(shape.weights()) *
                                        static_cast<double>(shape.positions() * batch));
  report("forward", runs, forward);
  report("input", runs, input);
  report("weight", runs, weight);
  if (shape.channels_in == shape.channels_out) {
    const Products products(ProductBackend::openblas);
    ConvolutionLogAbsDet<float> log_abs_det("w", shape);
    const std::span<const float> w(weights);
    report("log_abs_det", runs, [&] { log_abs_det.evaluate("w", w, products, weight_sums); });
    const ConvolutionFactors factors("w", shape, w);
    forward();
    const ConstMatrixMap<float> y_view(y.data(), shape.outputs(), batch);
    report("inverse", runs, [&] {
      factors.solve<float>({}, y_view, {delta_in.data(), shape.inputs(), batch});
    });
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (!(std::abs(delta_in[i] - x[i]) <= 1e-3F)) {
        fmt::print(stderr, "convolution_bench: the inverse gives {} for {}\n", delta_in[i], x[i]);
        return 1;
      }
    }
  }
  fmt::print("}}\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 9) {
    fmt::print(stderr,
               "usage: {} CHANNELS_IN CHANNELS_OUT HEIGHT WIDTH TAPS zero|circular BATCH RUNS\n",
               argv[0]);
    return 2;
  }
  try {
    set_threads(1);
    const auto number = [&](int i) { return static_cast<Index>(std::atoll(argv[i])); };
    const ConvolutionShape shape{
        number(1), number(2),
        number(3), number(4),
        number(5), std::string(argv[6]) == "circular" ? Padding::circular : Padding::zero};
    return run(shape, number(7), static_cast<int>(number(8)));
  } catch (const std::exception& error) {
    fmt::print(stderr, "convolution_bench: {}\n", error.what());
    return 2;
  }
}
