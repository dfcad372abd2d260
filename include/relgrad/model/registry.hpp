#pragma once
/// The kinds of layers there are, by name: what a model line or a checkpoint's manifest says
/// becomes a layer.
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "relgrad/linalg/products.hpp"
#include "relgrad/model/latent.hpp"
#include "relgrad/model/layer.hpp"
#include "relgrad/model/row_group.hpp"

namespace relgrad {

/// One layer in words: its kind and its numbers ("slope", "bins", "bound", ...). A layer with a
/// number "inverse" keeps a learned one.
struct LayerSpec {
  std::string kind;
  std::map<std::string, double> settings;
};

/// A number of a kind, in the order in which a model line gives them.
struct LayerNumber {
  std::string name;
  double usual;  // if neither the line nor the manifest has it
};
/// A word of a model line that sets a number.
struct LayerWord {
  std::string word;
  std::string name;
  double value;
};
/// How a kind is written in a model line: KIND[:NUMBER ...][:WORD ...].
struct LayerSyntax {
  std::string kind;
  std::string meaning;  // one line
  std::vector<LayerNumber> numbers;
  std::vector<LayerWord> words;
  bool learns_inverse;  // with the number "inverse"
  /// Of a sample that comes in as `in`: what goes on, and floating-point operations of the forward
  /// pass (multiplications and additions counted singly).
  std::function<SampleShape(const SampleShape& in)> out;
  std::function<double(const LayerSpec& spec, const SampleShape& in)> flops;
};
/// One row per kind, in the order of help texts.
const std::vector<LayerSyntax>& layer_syntax();

/// What a layer is built into. Without a row group every rank has all coordinates.
template <class T>
struct LayerPlace {
  ParameterStore<T>& store;
  const Products& products;
  SampleShape shape;  // of what comes in
  Latent latent = Latent::normal;
  RowGroup<T>* row_group = nullptr;
};

/// @throws UsageError naming `prefix`, and the kinds there are if `spec.kind` is not one of them.
template <class T>
std::unique_ptr<Layer<T>> make_layer(const LayerSpec& spec, const LayerPlace<T>& place,
                                     const std::string& prefix);
std::vector<std::string> layer_kinds();

}  // namespace relgrad
