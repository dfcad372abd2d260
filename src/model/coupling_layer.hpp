#pragma once
/// Affine couplings and splits as layers (coupling/affine.hpp). Both halve the channels of a
/// sample, x = (x1, x2), and map x2 given x1; a split lets the second half leave the flow.
#include <array>

#include "coupling/affine.hpp"
#include "relgrad/model/latent.hpp"
#include "relgrad/model/layer.hpp"

namespace relgrad {

/// Whether the half that is mapped goes on, or leaves with the latent density.
enum class SecondHalf { stays, leaves };

template <class T>
class CouplingLayer final : public DifferentiableLayer<T> {
 public:
  /// Declares the tensors of the net (coupling/net.hpp) as "PREFIX/first_weight", ...
  /// @param hidden  channels inside the net
  /// @param latent  density of what leaves
  /// @throws UsageError, naming `prefix`, if the number of channels is odd
  CouplingLayer(ParameterStore<T>& store, const Products& products, const std::string& prefix,
                const SampleShape& shape, Index hidden, SecondHalf second, Latent latent);
  std::string_view kind() const override { return leaves() ? "split" : "coupling"; }
  LayerShape shape() const override;
  void initialize(const LayerStart& start) override;
  void forward(LayerPass<T> pass) const override;
  void inverse(const ConstMatrixMap<T>& output, const ConstMatrixMap<T>& latent, MatrixMap<T> input,
               InverseKind kind) const override;
  void backward(LayerPass<T> pass, LayerDelta<T> delta, GradientSink<T>& sink) const override;
  void take_exact_sums(StepSums<T>& sums) const override;

 private:
  bool leaves() const { return second_ == SecondHalf::leaves; }
  NetSpans<const T> parameters() const;
  /// The mapped half of a sample: in `output` or in `latent`.
  SampleRows<T> second_of(MatrixMap<T>& output, MatrixMap<T>& latent) const;

  ParameterStore<T>* store_;
  SampleShape shape_;
  SecondHalf second_;
  Latent latent_;
  AffineCoupling<T> map_;
  std::array<ParameterId, net_tensor_count> ids_;
};

}  // namespace relgrad
