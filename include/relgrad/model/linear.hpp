#pragma once
/// The full linear layer y = W x + b with an unconstrained D x D matrix W, whole or, in a row
/// group, by columns: then inputs, outputs and Delta are those of this rank's own coordinates.
#include <optional>
#include <utility>

#include "relgrad/linalg/products.hpp"
#include "relgrad/model/layer.hpp"
#include "relgrad/model/row_group.hpp"

namespace relgrad {

/// How a linear layer is undone: by LU of W, D^3, or by the matrix R that it keeps, B D^2.
enum class InverseKind { exact, learned };

template <class T>
class LinearLayer final : public Layer<T> {
 public:
  /// Declares "PREFIX/W" (D x D, this rank's columns) and "PREFIX/b" (D x 1) in `store`, which must
  /// outlive the layer, as must `row_group` (null: W is whole). With `keeps_inverse` also
  ///   "PREFIX/R-transposed"    R^T of the layer's own estimate R of W^{-1}; D x D, this rank's
  ///                            columns, which are R's rows
  ///   "PREFIX/reconstruction"  2 x 1: log of what multiplies the weight of the reconstruction
  ///                            term; running mean of the reconstruction error (optim/geco.hpp)
  LinearLayer(ParameterStore<T>& store, const Products& products, const std::string& prefix,
              Index dimension, RowGroup<T>* row_group = nullptr, bool keeps_inverse = false);

  std::string_view kind() const override { return "linear"; }
  Index dimension() const override { return dimension_; }
  /// y = W x + b. Cost: 2 B D^2 (in a row group of R ranks 1/R of it, and a reduce-scatter of D B
  /// numbers: Y = sum_r W[:, I_r] X[I_r]). Adds nothing to log_abs_det: its part is
  /// sample-independent.
  void forward(const ConstMatrixMap<T>& input, MatrixMap<T> output,
               std::span<double> log_abs_det) const override;
  /// Solves W x = y - b by LU in double precision; the factorisation (2/3 D^3) is done at each
  /// call, by the ranks of a row group together.
  void inverse(const ConstMatrixMap<T>& output, MatrixMap<T> input) const override;
  /// log|det W| by LU (linalg/log_abs_det): 2/3 D^3 flops.
  bool has_sample_independent_part() const override { return true; }
  double sample_independent_log_abs_det() const override;

  bool keeps_inverse() const { return inverse_id_.has_value(); }
  /// R = W^{-1} to rounding, by LU in the layer's precision (linalg/inverse), in a row group in
  /// double by the ranks together. Cost: 2 D^3 flops.
  void refresh_inverse();
  /// x = R (y - b). Cost: 2 B D^2; in a row group an allgather of D B numbers.
  void learned_inverse(const ConstMatrixMap<T>& output, MatrixMap<T> input) const;

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
  std::span<const T> reconstruction() const {
    return std::as_const(*store_).values(reconstruction_id());
  }
  const Products& products() const { return *products_; }

 private:
  ParameterStore<T>* store_;
  const Products* products_;
  std::string prefix_;
  Index dimension_;
  RowGroup<T>* row_group_;
  Range own_;
  ParameterId weight_id_;
  ParameterId bias_id_;
  std::optional<ParameterId> inverse_id_;
  std::optional<ParameterId> reconstruction_id_;
};

}  // namespace relgrad
