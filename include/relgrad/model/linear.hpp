#pragma once
/// The full linear layer y = W x + b with an unconstrained D x D matrix W, whole or, in a row
/// group, by columns: then inputs, outputs and Delta are those of this rank's own coordinates.
#include <optional>
#include <utility>

#include "relgrad/linalg/products.hpp"
#include "relgrad/model/layer.hpp"
#include "relgrad/model/row_group.hpp"

namespace relgrad {

template <class T>
class LinearLayer final : public Layer<T> {
 public:
  /// Declares "PREFIX/W" (D x D, this rank's columns) and "PREFIX/b" (D x 1) in `store`, which must
  /// outlive the layer, as must `row_group` (null: W is whole). With `keeps_inverse` also
  ///   "PREFIX/R-transposed"    R^T of the layer's own estimate R of W^{-1}; D x D, this rank's
  ///                            columns, which are R's rows
  ///   "PREFIX/reconstruction"  2 x 1: log of what multiplies the weight of the reconstruction
  ///                            term; running mean of the reconstruction error (gradient/geco.hpp)
  LinearLayer(ParameterStore<T>& store, const Products& products, const std::string& prefix,
              const SampleShape& shape, RowGroup<T>* row_group = nullptr,
              bool keeps_inverse = false);

  std::string_view kind() const override { return "linear"; }
  /// Samples of any shape, flattened. Scratch: D x 2B numbers for [W^T Delta | W^T Y].
  LayerShape shape() const override { return {shape_, shape_, 0, 0, 2 * own_.size()}; }
  Index dimension() const { return dimension_; }
  bool splits_by_coordinates() const override { return true; }
  void accept(LayerVisitor<T>& visitor) override { visitor.visit(*this); }
  /// W = I + noise * N(0, 1) / sqrt(D), or a random orthogonal matrix (QR of a normal matrix, Haar
  /// by sign correction); b = 0. An inverse that is kept is exact.
  void initialize(const LayerStart& start) override;
  /// y = W x + b. Cost: 2 B D^2 (in a row group of R ranks 1/R of it, and a reduce-scatter of D B
  /// numbers: Y = sum_r W[:, I_r] X[I_r]).
  void forward(LayerPass<T> pass) const override;
  /// exact: solves W x = y - b by LU in double precision; the factorisation (2/3 D^3) is done at
  /// each call, by the ranks of a row group together. learned: x = R (y - b), 2 B D^2; in a row
  /// group an allgather of D B numbers.
  void inverse(const ConstMatrixMap<T>& output, const ConstMatrixMap<T>& latent, MatrixMap<T> input,
               InverseKind kind) const override;
  /// log|det W| by LU (linalg/log_abs_det): 2/3 D^3 flops.
  bool has_sample_independent_part() const override { return true; }
  double sample_independent_log_abs_det() const override;
  bool learns_inverse() const override { return keeps_inverse(); }

  bool keeps_inverse() const { return inverse_id_.has_value(); }
  /// R = W^{-1} to rounding, by LU in the layer's precision (linalg/inverse), in a row group in
  /// double by the ranks together. Cost: 2 D^3 flops.
  void refresh_inverse();
  ParameterId weight_id() const { return weight_id_; }
  ParameterId bias_id() const { return bias_id_; }
  // only of a layer that keeps its inverse
  ParameterId inverse_id() const { return inverse_id_.value(); }
  ParameterId reconstruction_id() const { return reconstruction_id_.value(); }
  RowGroup<T>* row_group() const { return row_group_; }
  Range own() const { return own_; }  // coordinates of this rank
  /// D x |own()|.
  ConstMatrixMap<T> weight() const { return std::as_const(*store_).matrix(weight_id_); }
  ConstVectorMap<T> bias() const;  // D
  /// R^T, D x |own()|.
  ConstMatrixMap<T> inverse_transposed() const {
    return std::as_const(*store_).matrix(inverse_id());
  }
  std::span<const T> reconstruction() const override {
    if (!keeps_inverse()) return {};
    return std::as_const(*store_).values(reconstruction_id());
  }
  const Products& products() const { return *products_; }
  ParameterStore<T>& parameters() const { return *store_; }

 private:
  void initialize_orthogonal(const LayerStart& start);
  void solve(const ConstMatrixMap<T>& output, MatrixMap<T> input) const;
  void apply_learned(const ConstMatrixMap<T>& output, MatrixMap<T> input) const;

  ParameterStore<T>* store_;
  const Products* products_;
  std::string prefix_;
  SampleShape shape_;
  Index dimension_;
  RowGroup<T>* row_group_;
  Range own_;
  ParameterId weight_id_;
  ParameterId bias_id_;
  std::optional<ParameterId> inverse_id_;
  std::optional<ParameterId> reconstruction_id_;
};

}  // namespace relgrad
