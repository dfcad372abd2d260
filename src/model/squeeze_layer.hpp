#pragma once
/// Squeeze as a layer: C x H x W -> 4C x H/2 x W/2 (coupling/squeeze.hpp), a permutation.
#include "relgrad/model/layer.hpp"

namespace relgrad {

template <class T>
class SqueezeLayer final : public DifferentiableLayer<T> {
 public:
  /// @throws UsageError, naming `where`, unless height and width are even
  SqueezeLayer(const std::string& where, const SampleShape& shape);
  std::string_view kind() const override { return "squeeze"; }
  LayerShape shape() const override {
    return {shape_, {4 * shape_.channels, shape_.height / 2, shape_.width / 2}};
  }
  void forward(LayerPass<T> pass) const override;
  void inverse(const ConstMatrixMap<T>& output, const ConstMatrixMap<T>& latent, MatrixMap<T> input,
               InverseKind kind) const override;
  void backward(LayerPass<T> pass, LayerDelta<T> delta, GradientSink<T>& sink) const override;

 private:
  SampleShape shape_;
};

}  // namespace relgrad
