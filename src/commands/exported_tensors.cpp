#include "commands/exported_tensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>
#include <utility>

#include "model/array_layout.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/model/registry.hpp"
#include "start/model.hpp"

namespace relgrad {

namespace {

using checkpoint::TensorType;

template <class T>
std::vector<std::byte> read(const checkpoint::Found& found, const std::string& name,
                            const ArrayLayout& layout) {
  const Matrix<double> stored = checkpoint::read_tensor(found, name);
  std::vector<std::byte> bytes(static_cast<std::size_t>(stored.size()) * sizeof(T));
  const auto put = [&](Index to, Index from) {
    const auto value = static_cast<T>(stored.data()[from]);
    std::memcpy(bytes.data() + static_cast<std::size_t>(to) * sizeof(T), &value, sizeof(T));
  };
  const auto [shape, height, width] = layout;
  for (Index begin = 0; begin < stored.size(); begin += height * width) {
    for (Index i = 0; i < height; ++i) {
      for (Index j = 0; j < width; ++j) put(begin + j * height + i, begin + i * width + j);
    }
  }
  return bytes;
}

ExportedTensor exported(const checkpoint::Found& found, const nlohmann::json& entry,
                        const std::string& new_name, const ArrayLayout& layout) {
  ExportedTensor tensor;
  tensor.name = new_name;
  tensor.shape = layout.shape;
  const bool is_single = entry.at("type") == "float32";
  tensor.type = is_single ? TensorType::float32 : TensorType::float64;
  const std::string name = entry.at("name");
  tensor.values = [&found, name, layout, is_single] {
    return is_single ? read<float>(found, name, layout) : read<double>(found, name, layout);
  };
  return tensor;
}

}  // namespace

std::uint64_t ExportedTensor::bytes() const {
  const Index numbers = std::accumulate(shape.begin(), shape.end(), Index{1}, std::multiplies<>());
  return static_cast<std::uint64_t>(numbers) * (type == TensorType::float32 ? 4 : 8);
}

std::vector<ExportedTensor> exported_tensors(const checkpoint::Found& found) {
  std::vector<ExportedTensor> tensors;
  const FlowSpec flow = flow_spec_of(found);
  const auto for_each = [&](const std::string& prefix, const auto& use) {
    for (const nlohmann::json& entry : found.manifest.at("tensors")) {
      const std::string name = entry.at("name");
      if (!name.starts_with(prefix)) continue;
      use(entry, name.substr(prefix.size()), entry.at("shape").at(0).get<Index>(),
          entry.at("shape").at(1).get<Index>());
    }
  };
  SampleShape shape = flow.sample;
  for (std::size_t i = 0; i < flow.layers.size(); ++i) {
    const std::string& kind = flow.layers[i].kind;
    const auto syntax = std::ranges::find(layer_syntax(), kind, &LayerSyntax::kind);
    if (syntax == layer_syntax().end()) {
      throw CheckpointError(fmt::format("{}: layer {} is a '{}', which this relgrad does not know",
                                        found.directory.string(), i, kind));
    }
    const std::string prefix = fmt::format("layer/{}/", i);
    for_each(prefix, [&](const auto& entry, const std::string& tensor, Index rows, Index cols) {
      if (tensor == "reconstruction") return;  // of the training
      const std::string name = prefix + (tensor == "R-transposed" ? "R" : tensor);
      tensors.push_back(
          exported(found, entry, name, array_layout(kind, tensor, shape, rows, cols)));
    });
    shape = syntax->out(shape);
  }
  for_each("latent/", [&](const auto& entry, const std::string& tensor, Index rows, Index cols) {
    tensors.push_back(exported(found, entry, "latent/" + tensor,
                               cols == 1 ? ArrayLayout{{rows}} : ArrayLayout{{cols, rows}}));
  });
  for_each("transform/", [&](const auto& entry, const std::string& table, Index rows, Index cols) {
    tensors.push_back(exported(found, entry, "transform/" + table,
                               cols == 1 ? ArrayLayout{{rows}} : ArrayLayout{{cols, rows}}));
  });
  return tensors;
}

}  // namespace relgrad
