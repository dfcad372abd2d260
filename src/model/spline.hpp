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

/// Which coordinates of a sample share one spline: none; those of a channel; those of a channel
/// that lie in one of 24 rings of frequencies (u, v), by the length of (u / H, v / W).
enum class SplineSharing { pixel, channel, ring };

template <class T>
class SplineLayer final : public DifferentiableLayer<T> {
 public:
  /// Declares "PREFIX/widths" (D x K), "PREFIX/heights" (D x K) and "PREFIX/slopes" (D x (K + 1)),
  /// with a row per group where splines are shared:
  /// unnormalised, all zero at the identity. Tail slopes equal the slopes at the outer knots.
  /// Batches have the coordinates `own` alone; the parameters of others are only kept.
  SplineLayer(ParameterStore<T>& store, const std::string& prefix, const SampleShape& shape,
              const Range& own, Index bins, double bound,
              SplineSharing sharing = SplineSharing::pixel);
  std::string_view kind() const override { return "spline"; }
  LayerShape shape() const override { return {shape_, shape_}; }
  bool splits_by_coordinates() const override { return group_.empty(); }
  void prepare() override;
  void forward(LayerPass<T> pass) const override;
  void inverse(const ConstMatrixMap<T>& output, const ConstMatrixMap<T>& latent, MatrixMap<T> input,
               InverseKind kind) const override;
  void backward(LayerPass<T> pass, LayerDelta<T> delta, GradientSink<T>& sink) const override;
  void take_exact_sums(StepSums<T>& sums) const override;

 private:
  bool is_shared() const { return !group_.empty(); }
  /// every[i] = values of the group of coordinate i, for each of `columns` columns.
  void spread(std::span<const T> values, Index columns, T* every) const;
  /// Where the gradient of every coordinate's own parameters is added.
  struct EverySum {
    T *widths, *heights, *slopes;
  };
  EverySum begin_sums(ParameterSums<T>& sums) const;
  void end_sums(ParameterSums<T>& sums) const;
  /// sums[g] += the sum of `every` over the coordinates of group g.
  void collect(const T* every, Index columns, std::span<T> sums) const;
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
  // Of shared splines: the group of every coordinate, and widths, heights and slopes (or their
  // gradients) of every coordinate.
  std::vector<Index> group_;
  Index groups_;
  std::vector<T> every_;
  mutable std::vector<T> every_sum_;
};

}  // namespace relgrad
