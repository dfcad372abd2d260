#include "model/flow_work.hpp"

#include <algorithm>

#include "model/flow_layers.hpp"

namespace relgrad {

namespace {

const LayerSyntax& syntax_of(const LayerSpec& layer) {
  return *std::ranges::find(layer_syntax(), layer.kind, &LayerSyntax::kind);
}

bool is_full(const LayerSpec& layer) { return layer.kind == "linear"; }

void count_parameters(const ParameterStore<float>& store, FlowWork& work) {
  for (ParameterId id = 0; id < store.count(); ++id) {
    const ParameterInfo& info = store.info(id);
    if (info.use.by_columns) {
      ++work.matrices;
      work.matrix_size = std::max(work.matrix_size, info.rows);
    } else {
      work.whole_parameters += static_cast<std::int64_t>(info.size());
    }
  }
}

}  // namespace

FlowWork work_of(const FlowSpec& spec) {
  FlowWork work;
  ParameterStore<float> store;  // declares parameters, holds none
  const Products products(ProductBackend::openblas);
  const auto layers = make_layers<float>(spec, store, products, nullptr);
  count_parameters(store, work);
  double costliest = 0;
  double scratch = 0;
  work.workspace = 2.0 * static_cast<double>(spec.dimension());  // x and dL/dx
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const Layer<float>& layer = *layers[i];
    const LayerShape shape = layer.shape();
    // [delta | value], what leaves and what is kept
    work.workspace += static_cast<double>(2 * shape.out.size() + shape.leaves + shape.kept);
    scratch = std::max(scratch, static_cast<double>(shape.scratch));
    if (i == spec.layers.size() || is_full(spec.layers[i])) continue;  // the latent density, or W
    const double flops = syntax_of(spec.layers[i]).flops(spec.layers[i], shape.in);
    if (!layer.splits_by_coordinates()) {
      work.splits_by_coordinates = false;
      work.other_flops += flops;
      continue;
    }
    const auto size = static_cast<double>(shape.in.size());
    work.elements += size;
    if (flops / size <= costliest) continue;
    costliest = flops / size;
    work.elementwise = spec.layers[i];
  }
  work.workspace += scratch;
  return work;
}

}  // namespace relgrad
