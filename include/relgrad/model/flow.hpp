#pragma once
/// A flow is a sequence of layers between the transformed data and the latent density.
#include <memory>
#include <vector>

#include "relgrad/model/latent.hpp"
#include "relgrad/model/linear.hpp"
#include "relgrad/model/registry.hpp"

namespace relgrad {

enum class Initialization { identity, orthogonal };
Initialization parse_initialization(std::string_view name);  // @throws UsageError
std::string_view name_of(Initialization initialization);

struct FlowSpec {
  Index dimension = 0;
  Latent latent = Latent::normal;
  std::vector<LayerSpec> layers;
};

/// Linear layers with `activation` after each but the last and `last_activation` ("none" or a kind)
/// after the last. Settings that a kind does not know are left out.
/// @param keeps_inverse  every linear layer keeps a learned inverse
FlowSpec make_flow_spec(Index dimension, Index linear_layers, const LayerSpec& activation,
                        const LayerSpec& last_activation, Latent latent,
                        bool keeps_inverse = false);

template <class T>
class Flow {
 public:
  /// @param row_group  the ranks that share every W by columns; null: W is whole on every rank.
  /// Must
  ///                   outlive the flow, whose methods are then collective over it.
  Flow(const FlowSpec& spec, const Products& products, RowGroup<T>* row_group = nullptr);
  Flow(Flow&&) noexcept = default;

  const FlowSpec& spec() const { return spec_; }
  Index dimension() const { return spec_.dimension; }
  RowGroup<T>* row_group() const { return row_group_; }
  /// Coordinates of this rank; all, without a row group.
  Range own() const {
    return row_group_ == nullptr ? Range{0, spec_.dimension} : row_group_->own(spec_.dimension);
  }
  Latent latent() const { return spec_.latent; }
  std::size_t layer_count() const { return layers_.size(); }
  Layer<T>& layer(std::size_t i) { return *layers_[i]; }
  const Layer<T>& layer(std::size_t i) const { return *layers_[i]; }
  ParameterStore<T>& parameters() { return *parameters_; }
  const ParameterStore<T>& parameters() const { return *parameters_; }

  /// Start of training, the same on every rank: W = I + noise * N(0, 1) / sqrt(D), or a random
  /// orthogonal matrix (QR of a normal matrix, Haar by sign correction); b = 0; splines the
  /// identity. Inverses that are kept are exact.
  void initialize(Initialization initialization, double noise, std::uint64_t seed);
  /// Layer::prepare of every layer; after each change of parameters.
  void prepare();
  /// Whether every linear layer keeps a learned inverse.
  bool keeps_inverse() const;
  /// x = f^{-1}(z), |own()| x B, layer by layer from the last; z is overwritten on the way.
  /// @param kind  learned: of a flow that keeps_inverse()
  void inverse(MatrixMap<T> z, MatrixMap<T> x, InverseKind kind = InverseKind::exact) const;

 private:
  FlowSpec spec_;
  RowGroup<T>* row_group_;
  std::unique_ptr<ParameterStore<T>> parameters_;
  std::unique_ptr<Products> products_;
  std::vector<std::unique_ptr<Layer<T>>> layers_;
};

}  // namespace relgrad
