#pragma once
/// Where the backward pass puts what it finds. Ranks send sums over samples, never means; what
/// belongs to every sample alike (log|det W|) is added once, after the ranks' sums are added.
#include "relgrad/model/layer.hpp"

namespace relgrad {

/// The part of a gradient that every sample contributes alike, so that N samples give N times
///   value_factor * (the parameter itself) + matrix_factor * matrix
/// (matrix may be null; else of the parameter's layout).
/// With a row_factor, row i of the parameter counts row_factor[i] times.
template <class T>
struct PerSampleTerm {
  T value_factor = 0;
  const T* matrix = nullptr;
  T matrix_factor = 1;
  const T* row_factor = nullptr;
};

/// The gradient of matrix parameter `id`, summed over samples: left right^T, plus its per-sample
/// term.
template <class T>
struct OuterProduct {
  ParameterId id;
  ConstMatrixMap<T> left;
  ConstMatrixMap<T> right;
  PerSampleTerm<T> term;
};

/// Scales of a linear layer's relative gradient E = Delta Y^T + B I, which becomes R E C with
/// diagonal R and C (MATH section 2).
template <class T>
struct RelativeScales {
  const T* rows;     // R, D numbers
  const T* columns;  // C
  const T* product;  // R C
};

template <class T>
class GradientSink : public SmallGradients<T> {
 public:
  /// Before an outer_product whose right is W^T outputs, W the parameter: its left is `delta`, and
  /// the step that follows is W' = growth W + step delta outputs^T W. Both D x b, all coordinates.
  /// @param row_factor  of W in the per-sample term, or null: growth differs by rows
  virtual void relative(const ConstMatrixMap<T>& /*delta*/, const ConstMatrixMap<T>& /*outputs*/,
                        const T* /*row_factor*/) {}
  /// Sum over this rank's samples of the gradient of matrix parameter `id`: left right^T, left
  /// D x b, right with as many rows as the parameter has columns here; plus the per-sample term.
  /// The memory may be reused when the call returns. The sink may change the parameter during the
  /// call (fused update): the backward pass must be done with it.
  virtual void outer_product(ParameterId id, const ConstMatrixMap<T>& left,
                             const ConstMatrixMap<T>& right, const PerSampleTerm<T>& term) = 0;
  /// Of two parameters of one shape, each of which may be the other's `term.matrix`: both gradients
  /// are those at the values from before the call.
  virtual void outer_products(const OuterProduct<T>& first, const OuterProduct<T>& second) {
    outer_product(first.id, first.left, first.right, first.term);
    outer_product(second.id, second.left, second.right, second.term);
  }
  /// Scales of the layer whose bias is `bias`; none: R = C = I.
  virtual std::optional<RelativeScales<T>> relative_scales(ParameterId /*bias*/) { return {}; }
  /// What the next scales of that layer come from: this rank's Delta and Y, of coordinates `begin`
  /// and following, before they are scaled.
  virtual void add_squares(ParameterId /*bias*/, const ConstMatrixMap<T>& /*delta*/,
                           const ConstMatrixMap<T>& /*outputs*/, Index /*begin*/) {}
  /// The per-sample term of a small parameter whose sum went through sum(id).
  virtual void per_sample(ParameterId id, const PerSampleTerm<T>& term) = 0;
};

}  // namespace relgrad
