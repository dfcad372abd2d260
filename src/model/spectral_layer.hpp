#pragma once
/// A matrix at every frequency of the cosine transform, as a layer (spectral/spectral.hpp). Its
/// gradient is the relative one, exact.
#include "relgrad/model/layer.hpp"
#include "spectral/spectral.hpp"

namespace relgrad {

template <class T>
class SpectralLayer final : public DifferentiableLayer<T> {
 public:
  /// Declares "PREFIX/K" (HW x C^2: column C c + d holds element (c, d) at every frequency) and
  /// "PREFIX/b" (HW x C).
  SpectralLayer(ParameterStore<T>& store, const std::string& prefix, const SampleShape& shape,
                SpectralOutput output);
  std::string_view kind() const override { return "spectral"; }
  LayerShape shape() const override { return {shape_, shape_, 0, map_.kept_size()}; }
  /// The identity.
  void initialize(const LayerStart& start) override;
  void forward(LayerPass<T> pass) const override;
  void inverse(const ConstMatrixMap<T>& output, const ConstMatrixMap<T>& latent, MatrixMap<T> input,
               InverseKind kind) const override;
  void backward(LayerPass<T> pass, LayerDelta<T> delta, GradientSink<T>& sink) const override;
  void take_exact_sums(StepSums<T>& sums) const override;
  bool has_sample_independent_part() const override { return true; }
  double sample_independent_log_abs_det() const override;
  /// From the covariance at every frequency (spectral/moments.hpp).
  std::unique_ptr<DataStart<T>> whitening_start() override;

 private:
  SpectralSpans<const T> parameters() const;

  ParameterStore<T>* store_;
  std::string prefix_;
  SampleShape shape_;
  SpectralMap<T> map_;
  ParameterId weight_id_;
  ParameterId bias_id_;
};

}  // namespace relgrad
