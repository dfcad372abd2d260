#include "report/layer_table.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "relgrad/model/model_line.hpp"

namespace relgrad {

nlohmann::ordered_json layer_table(const FlowSpec& flow, const nlohmann::json& tensors) {
  auto table = nlohmann::ordered_json::array();
  SampleShape shape = flow.sample;
  for (std::size_t i = 0; i < flow.layers.size(); ++i) {
    const LayerSpec& layer = flow.layers[i];
    const auto syntax = std::ranges::find(layer_syntax(), layer.kind, &LayerSyntax::kind);
    if (syntax == layer_syntax().end()) break;
    const std::string prefix = fmt::format("layer/{}/", i);
    std::int64_t parameters = 0;
    for (const nlohmann::json& tensor : tensors) {
      if (!tensor.at("name").get<std::string>().starts_with(prefix)) continue;
      std::int64_t size = 1;
      for (const auto& extent : tensor.at("shape")) size *= extent.get<std::int64_t>();
      parameters += size;
    }
    const SampleShape out = syntax->out(shape);
    table.push_back({{"layer", i},
                     {"kind", model_word(layer)},
                     {"in", text_of(shape)},
                     {"out", text_of(out)},
                     {"parameters", parameters},
                     {"flops_per_sample", static_cast<std::int64_t>(syntax->flops(layer, shape))}});
    shape = out;
  }
  return table;
}

}  // namespace relgrad
