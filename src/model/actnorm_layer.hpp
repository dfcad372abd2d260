#pragma once
/// Actnorm as a layer (coupling/actnorm.hpp).
#include "coupling/actnorm.hpp"
#include "relgrad/model/layer.hpp"

namespace relgrad {

template <class T>
class ActnormLayer final : public DifferentiableLayer<T> {
 public:
  /// Declares "PREFIX/log_scale" and "PREFIX/shift", C x 1 each: s and m of y = exp(s) (x - m).
  ActnormLayer(ParameterStore<T>& store, const std::string& prefix, const SampleShape& shape);
  std::string_view kind() const override { return "actnorm"; }
  LayerShape shape() const override { return {shape_, shape_}; }
  void forward(LayerPass<T> pass) const override;
  void inverse(const ConstMatrixMap<T>& output, const ConstMatrixMap<T>& latent, MatrixMap<T> input,
               InverseKind kind) const override;
  void backward(LayerPass<T> pass, LayerDelta<T> delta, GradientSink<T>& sink) const override;
  void take_exact_sums(StepSums<T>& sums) const override;
  bool has_sample_independent_part() const override { return true; }
  /// HW sum s.
  double sample_independent_log_abs_det() const override;
  /// Mean 0 and variance 1 of every channel of the output.
  std::unique_ptr<DataStart<T>> first_batch_start(std::int64_t samples) override;

 private:
  std::span<const T> log_scale() const;
  std::span<const T> shift() const;

  ParameterStore<T>* store_;
  SampleShape shape_;
  Actnorm<T> map_;
  ParameterId log_scale_id_;
  ParameterId shift_id_;
  std::vector<T> positions_;  // HW for every channel
};

}  // namespace relgrad
