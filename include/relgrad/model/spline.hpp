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
class SplineLayer final : public ElementwiseLayer<T> {
 public:
  /// Declares "PREFIX/widths" (D x K), "PREFIX/heights" (D x K) and "PREFIX/slopes" (D x (K + 1)):
  /// unnormalised, all zero at the identity. Tail slopes equal the slopes at the outer knots.
  /// Batches have the coordinates `own` alone; the parameters of others are only kept.
  SplineLayer(ParameterStore<T>& store, const std::string& prefix, Index dimension,
              const Range& own, Index bins, double bound);
  std::string_view kind() const override { return "spline"; }
  Index dimension() const override { return own_.size(); }
  void prepare() override;
  void forward(const ConstMatrixMap<T>& input, MatrixMap<T> output,
               std::span<double> log_abs_det) const override;
  void inverse(const ConstMatrixMap<T>& output, MatrixMap<T> input) const override;
  void backward(const ConstMatrixMap<T>& input, const ConstMatrixMap<T>& delta_out,
                MatrixMap<T> delta_in, SmallGradients<T>& gradients) const override;
  void finish_exact(SmallGradients<T>& gradients) const override;

 private:
  std::size_t exact_size() const;
  /// A tile of this layer's coordinates in raw parameters, D x K.
  kernels::TileShape parameter_shape(Index tile) const;
  /// The same in a batch, |own| x B.
  kernels::TileShape batch_shape(Index tile) const;

  ParameterStore<T>* store_;
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
