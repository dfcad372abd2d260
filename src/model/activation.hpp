#pragma once
/// Parameter-free element-wise maps (MATH section 3).
#include "relgrad/model/layer.hpp"

namespace relgrad {

/// s(y) = a y + (1 - a) log(1 + e^y), 0 < a < 1; a = 0.3 (Keller et al. 2021), 0.01 (Gresele et al.
/// 2020).
template <class T>
class SmoothLeakyRelu final : public DifferentiableLayer<T> {
 public:
  /// @param own  coordinates of this rank; all of them without a row group
  SmoothLeakyRelu(const SampleShape& shape, Index own, double slope);
  std::string_view kind() const override { return "smooth-leaky-relu"; }
  LayerShape shape() const override { return {shape_, shape_}; }
  bool splits_by_coordinates() const override { return true; }
  void forward(LayerPass<T> pass) const override;
  void inverse(const ConstMatrixMap<T>& output, const ConstMatrixMap<T>& latent, MatrixMap<T> input,
               InverseKind kind) const override;
  void backward(LayerPass<T> pass, LayerDelta<T> delta, GradientSink<T>& sink) const override;

 private:
  SampleShape shape_;
  Index own_;  // coordinates of this rank
  double slope_;
};

/// s(y) = tanh(a y) + c y, a > 0, c > 0.
template <class T>
class LeakyTanh final : public DifferentiableLayer<T> {
 public:
  LeakyTanh(const SampleShape& shape, Index own, double scale, double slope);
  std::string_view kind() const override { return "leaky-tanh"; }
  LayerShape shape() const override { return {shape_, shape_}; }
  bool splits_by_coordinates() const override { return true; }
  void forward(LayerPass<T> pass) const override;
  void inverse(const ConstMatrixMap<T>& output, const ConstMatrixMap<T>& latent, MatrixMap<T> input,
               InverseKind kind) const override;
  void backward(LayerPass<T> pass, LayerDelta<T> delta, GradientSink<T>& sink) const override;

 private:
  SampleShape shape_;
  Index own_;  // coordinates of this rank
  double scale_;
  double slope_;
};

}  // namespace relgrad
