#include "commands/exported_tensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>
#include <utility>

#include "relgrad/core/error.hpp"
#include "relgrad/model/registry.hpp"
#include "start/model.hpp"

namespace relgrad {

namespace {

using checkpoint::TensorType;

/// A checkpoint stores a rows x cols tensor by columns, which is [cols][rows] row-major. This is
/// what becomes of it.
struct Layout {
  std::vector<Index> shape;
  // The stored numbers are matrices height x width, one after another; each is transposed. 1: they
  // stay as they are.
  Index height = 1;
  Index width = 1;
};

/// @param in  of the samples that come into the layer
Layout layout_of(const std::string& kind, const std::string& tensor, const SampleShape& in,
                 Index rows, Index cols) {
  const Index channels = in.channels;
  const bool is_bias = tensor == "b";
  if (kind == "linear" && tensor == "R-transposed") return {{cols, rows}};  // R by rows
  if (kind == "conv" && !is_bias) {
    Index taps = 1;
    while (taps * taps * channels < rows) ++taps;
    return {{channels, channels, taps, taps}};
  }
  if (kind == "spectral" && is_bias) return {{channels, in.height, in.width}};
  if (kind == "spectral") return {{channels, channels, in.height, in.width}};
  if (tensor == "first_weight") return {{cols, channels / 2, 3, 3}};
  if (tensor == "middle_weight") return {{cols, rows}};
  if (tensor == "last_weight") return {{channels, rows, 3, 3}, 9, rows};
  const bool is_matrix = kind == "spline" || tensor == "W" || cols > 1;
  return is_matrix ? Layout{{rows, cols}, cols, rows} : Layout{{rows}};
}

template <class T>
std::vector<std::byte> read(const checkpoint::Found& found, const std::string& name,
                            const Layout& layout) {
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
                        const std::string& new_name, const Layout& layout) {
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
      tensors.push_back(exported(found, entry, name, layout_of(kind, tensor, shape, rows, cols)));
    });
    shape = syntax->out(shape);
  }
  for_each("latent/", [&](const auto& entry, const std::string& tensor, Index rows, Index cols) {
    tensors.push_back(exported(found, entry, "latent/" + tensor,
                               cols == 1 ? Layout{{rows}} : Layout{{cols, rows}}));
  });
  for_each("transform/", [&](const auto& entry, const std::string& table, Index rows, Index cols) {
    tensors.push_back(exported(found, entry, "transform/" + table,
                               cols == 1 ? Layout{{rows}} : Layout{{cols, rows}}));
  });
  return tensors;
}

}  // namespace relgrad
