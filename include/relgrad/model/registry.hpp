#pragma once
/// The kinds of layers there are, by name: what a checkpoint's manifest says becomes a layer again.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "relgrad/linalg/products.hpp"
#include "relgrad/model/layer.hpp"

namespace relgrad {

/// One layer in words: its kind and its numbers ("slope", "bins", "bound", ...).
struct LayerSpec {
  std::string kind;
  std::map<std::string, double> settings;
};

/// @throws UsageError naming the kinds there are, if `spec.kind` is not one of them.
template <class T>
std::unique_ptr<Layer<T>> make_layer(const LayerSpec& spec, ParameterStore<T>& store,
                                     const Products& products, const std::string& prefix,
                                     Index dimension);
std::vector<std::string> layer_kinds();

}  // namespace relgrad
