#include "model/operations.hpp"

#include <algorithm>

#include "relgrad/model/registry.hpp"

namespace relgrad {

namespace {

template <class Use>
void for_each_layer(const FlowSpec& flow, Use&& use) {
  SampleShape shape = flow.sample;
  for (const LayerSpec& layer : flow.layers) {
    const auto syntax = std::ranges::find(layer_syntax(), layer.kind, &LayerSyntax::kind);
    use(layer, shape, syntax->flops(layer, shape));
    shape = syntax->out(shape);
  }
}

/// What an exact inverse costs before the first sample.
double factorization_operations(const LayerSpec& layer, const SampleShape& shape) {
  const auto d = static_cast<double>(shape.size());
  const auto band = static_cast<double>(shape.channels * shape.width);
  if (layer.kind == "linear") return 2.0 / 3.0 * d * d * d;
  if (layer.kind == "conv") return 2 * d * band * band;
  return 0;
}

}  // namespace

double forward_operations(const FlowSpec& flow) {
  double operations = 0;
  for_each_layer(flow,
                 [&](const LayerSpec&, const SampleShape&, double flops) { operations += flops; });
  return operations;
}

double inverse_operations(const FlowSpec& flow, Index samples) {
  double operations = 0;
  for_each_layer(flow, [&](const LayerSpec& layer, const SampleShape& shape, double flops) {
    operations += factorization_operations(layer, shape) + static_cast<double>(samples) * flops;
  });
  return operations;
}

}  // namespace relgrad
