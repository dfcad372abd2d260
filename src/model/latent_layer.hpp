#pragma once
/// The end of a flow: all coordinates leave, with the latent density.
#include "relgrad/model/latent.hpp"
#include "relgrad/model/layer.hpp"

namespace relgrad {

template <class T>
class LatentLayer final : public DifferentiableLayer<T> {
 public:
  /// @param own  coordinates of this rank; all of them without a row group
  LatentLayer(const SampleShape& shape, Index own, Latent latent)
      : shape_(shape), own_(own), latent_(latent) {}
  std::string_view kind() const override { return "latent"; }
  LayerShape shape() const override { return {shape_, SampleShape(), own_}; }
  bool splits_by_coordinates() const override { return true; }
  /// latent = input; adds its log-density (nats).
  void forward(LayerPass<T> pass) const override;
  void inverse(const ConstMatrixMap<T>& output, const ConstMatrixMap<T>& latent, MatrixMap<T> input,
               InverseKind kind) const override;
  /// delta.input = d log p_Z / d z.
  void backward(LayerPass<T> pass, LayerDelta<T> delta, GradientSink<T>& sink) const override;

 private:
  SampleShape shape_;
  Index own_;
  Latent latent_;
};

}  // namespace relgrad
