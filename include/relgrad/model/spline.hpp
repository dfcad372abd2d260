#pragma once
/// Monotone rational-quadratic spline per dimension (Durkan et al. 2019, arXiv 1906.04032): K bins
/// on
/// [-bound, bound], linear tails, starts as the identity, closed-form inverse.
#include <vector>

#include "relgrad/model/layer.hpp"

namespace relgrad {

namespace kernels {
struct TileShape;
}

template <class T>
class SplineLayer final : public DifferentiableLayer<T> {
 public:
  /// Declares "PREFIX/widths" (D x K), "PREFIX/heights" (D x K) and "PREFIX/slopes" (D x (K + 1)):
  /// unnormalised, all zero at the identity. Tail slopes equal the slopes at the outer knots.
  /// Batches have the coordinates `own` alone; the parameters of others are only kept.
  SplineLayer(ParameterStore<T>& store, const std::string& prefix, const SampleShape& shape,
              const Range& own, Index bins, double bound);
  std::string_view kind() const override { return "spline"; }
  LayerShape shape() const override { return {shape_, shape_}; }
  bool splits_by_coordinates() const override { return true; }
  void prepare() override;
  void forward(LayerPass<T> pass) const override;
  void inverse(const ConstMatrixMap<T>& output, const ConstMatrixMap<T>& latent, MatrixMap<T> input,
               InverseKind kind) const override;
  void backward(LayerPass<T> pass, LayerDelta<T> delta, GradientSink<T>& sink) const override;
  void take_exact_sums(StepSums<T>& sums) const override;

 private:
  std::size_t exact_size() const;
  /// A tile of this layer's coordinates in raw parameters, D x K.
  kernels::TileShape parameter_shape(Index tile) const;
  /// The same in a batch, |own| x B.
  kernels::TileShape batch_shape(Index tile) const;

  ParameterStore<T>* store_;
  SampleShape shape_;
  Index dimension_;
  Range own_;
  Index bins_;
  double bound_;
  ParameterId widths_id_;
  ParameterId heights_id_;
  ParameterId slopes_id_;
  // Derived by prepare(), tile of dimensions after tile (layout: model/kernels/spline_kernels.hpp):
  // knots, and the factors that chain their derivatives to the raw parameters.
  std::vector<T> knots_;
  std::vector<T> chain_;
};

}  // namespace relgrad
