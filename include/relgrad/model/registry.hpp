#pragma once
/// The kinds of layers there are, by name: what a checkpoint's manifest says becomes a layer again.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "relgrad/linalg/products.hpp"
#include "relgrad/model/layer.hpp"
#include "relgrad/model/row_group.hpp"

namespace relgrad {

/// One layer in words: its kind and its numbers ("slope", "bins", "bound", ...). A linear layer
/// with a number "inverse" keeps a learned one.
struct LayerSpec {
  std::string kind;
  std::map<std::string, double> settings;
};

/// What a layer is built into. Without a row group every rank has all coordinates.
template <class T>
struct LayerPlace {
  ParameterStore<T>& store;
  const Products& products;
  SampleShape shape;  // of what comes in
  RowGroup<T>* row_group = nullptr;
};

/// @throws UsageError naming the kinds there are, if `spec.kind` is not one of them.
template <class T>
std::unique_ptr<Layer<T>> make_layer(const LayerSpec& spec, const LayerPlace<T>& place,
                                     const std::string& prefix);
std::vector<std::string> layer_kinds();

}  // namespace relgrad
