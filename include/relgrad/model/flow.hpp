#pragma once
/// A flow is a sequence of layers between the transformed data and the latent density.
#include <memory>
#include <vector>

#include "relgrad/model/latent.hpp"
#include "relgrad/model/linear.hpp"
#include "relgrad/model/registry.hpp"

namespace relgrad {

struct FlowSpec {
  SampleShape sample;
  Latent latent = Latent::normal;
  std::vector<LayerSpec> layers;
  Index classes = 0;  // each has a mean and a scale of the latent density of its own; 0: none
  Index dimension() const { return sample.size(); }
};

/// Linear layers with `activation` after each but the last and `last_activation` ("none" or a kind)
/// after the last.
/// @param keeps_inverse  every linear layer keeps a learned inverse
FlowSpec make_flow_spec(const SampleShape& sample, Index linear_layers, const LayerSpec& activation,
                        const LayerSpec& last_activation, Latent latent,
                        bool keeps_inverse = false);

template <class T>
class Flow {
 public:
  /// @param row_group  the ranks that share every W by columns; null: W is whole on every rank.
  ///                   Must outlive the flow, whose methods are then collective over it.
  /// @throws UsageError naming the layer: unknown kinds and settings, shapes that do not fit,
  ///         layers that a row group cannot share
  Flow(const FlowSpec& spec, const Products& products, RowGroup<T>* row_group = nullptr);
  Flow(Flow&&) noexcept = default;

  const FlowSpec& spec() const { return spec_; }
  Index dimension() const { return spec_.dimension(); }
  RowGroup<T>* row_group() const { return row_group_; }
  /// Of `size` coordinates those of this rank; all, without a row group.
  Range own(Index size) const {
    return row_group_ == nullptr ? Range{0, size} : row_group_->own(size);
  }
  Range own() const { return own(dimension()); }
  Latent latent() const { return spec_.latent; }
  /// 0: the flow is not conditional.
  Index classes() const { return spec_.classes; }
  /// Of a conditional flow, one per class: how probable a class is before its sample is seen. Equal
  /// numbers after initialize(). Call prepare() after a change.
  std::span<T> prior();
  std::span<const T> prior() const;
  /// Takes a draw of the latent density to that of class `label`: z = mean + scale z, of the
  /// coordinates of z that leave the flow last. @param z  the latent vector of one sample, |own()|
  void move_to_class(Label label, std::span<T> z) const;
  /// The inverse, (z - mean) / scale, of all ranks' coordinates. @param z  D
  void move_from_class(Label label, std::span<T> z) const;
  /// The layers of the spec, and after them the latent density.
  std::size_t layer_count() const { return layers_.size(); }
  Layer<T>& layer(std::size_t i) { return *layers_[i]; }
  const Layer<T>& layer(std::size_t i) const { return *layers_[i]; }
  /// The full linear layers among them, first to last.
  std::vector<LinearLayer<T>*> linear_layers();
  std::vector<const LinearLayer<T>*> linear_layers() const;
  ParameterStore<T>& parameters() { return *parameters_; }
  const ParameterStore<T>& parameters() const { return *parameters_; }

  /// Start of training, the same on every rank (Layer::initialize).
  void initialize(Initialization initialization, double noise, std::uint64_t seed);
  /// Layer::prepare of every layer; after each change of parameters.
  void prepare();
  /// Whether layers learn inverses: those of linear and of convolutional layers.
  bool keeps_inverse() const;
  /// x = f^{-1}(z), |own()| x B each, layer by layer from the last.
  /// @param z     what left the flow, in the order in which it left
  /// @param kind  learned: of a flow that keeps_inverse()
  void inverse(const ConstMatrixMap<T>& z, MatrixMap<T> x,
               InverseKind kind = InverseKind::exact) const;

 private:
  /// z_i = move(z_i, mean, scale) for `coordinates` of those that leave the flow last; z ends with
  /// them.
  template <class Move>
  void for_each_in_class(Label label, const Range& coordinates, std::span<T> z,
                         const Move& move) const;

  FlowSpec spec_;
  RowGroup<T>* row_group_;
  std::unique_ptr<ParameterStore<T>> parameters_;
  std::unique_ptr<Products> products_;
  std::vector<std::unique_ptr<Layer<T>>> layers_;
};

}  // namespace relgrad
