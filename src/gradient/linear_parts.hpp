#pragma once
/// What the estimators of a linear layer's gradient share.
#include "gradient/room.hpp"
#include "relgrad/model/gradient_sink.hpp"
#include "relgrad/model/linear.hpp"

namespace relgrad {

template <class T>
ConstMatrixMap<T> left_half(const MatrixMap<T>& pair) {
  return {pair.data(), pair.rows(), pair.cols() / 2};
}
template <class T>
ConstMatrixMap<T> right_half(const MatrixMap<T>& pair) {
  return {pair.data() + pair.rows() * (pair.cols() / 2), pair.rows(), pair.cols() / 2};
}

/// out = A[:, I]^T in; A[:, I] is W or R^T as the layer holds them, D x |I|; in D x n, out |I| x n,
/// I the layer's own coordinates (all without a row group).
template <class T>
void multiply_transposed(const LinearLayer<T>& layer, const ConstMatrixMap<T>& columns,
                         const ConstMatrixMap<T>& in, T* out) {
  const Index d = layer.dimension();
  const Index own = layer.own().size();
  layer.products().gemm(Transpose::yes, Transpose::no, own, in.cols(), d, columns.data(), d,
                        in.data(), d, Onto::zero, out, own);
}

/// A in (D x n), A = W or R^T by columns, in = own rows (|I| x n) of the right factor:
/// sum_r A[:, I_r] in[I_r], in `room`. `own_rows` is worked in where W is shared.
template <class T>
MatrixMap<T> sum_of_products(const LinearLayer<T>& layer, const ConstMatrixMap<T>& columns,
                             const ConstMatrixMap<T>& in, Room<T>& room, Room<T>& own_rows) {
  const Index d = layer.dimension();
  MatrixMap<T> sum = room.matrix(d, in.cols());
  layer.products().gemm(Transpose::no, Transpose::no, d, in.cols(), in.rows(), columns.data(), d,
                        in.data(), in.rows(), Onto::zero, sum.data(), d);
  if (RowGroup<T>* group = layer.row_group()) {
    const MatrixMap<T> own = own_rows.matrix(in.rows(), in.cols());
    group->reduce_scatter(read(sum), own);
    group->allgather(read(own), sum);
  }
  return sum;
}

/// [Delta | Y] of all coordinates: `pair` itself, or what the ranks of a row group have of it.
template <class T>
MatrixMap<T> gathered(const LinearLayer<T>& layer, const MatrixMap<T>& pair) {
  RowGroup<T>* group = layer.row_group();
  if (group == nullptr) return pair;
  const MatrixMap<T> all = group->whole(layer.dimension(), pair.cols());
  group->allgather(ConstMatrixMap<T>(pair.data(), pair.rows(), pair.cols()), all);
  return all;
}

/// Adds sum_n weights_n delta_n to this rank's coordinates of the sum of the layer's bias.
/// @param weights  a vector, or an expression of one
template <class T, class Weights>
void add_weighted_sum(const LinearLayer<T>& layer, const ConstMatrixMap<T>& delta,
                      const Weights& weights, GradientSink<T>& sink) {
  const Index dimension = delta.rows();
  const ParameterId id = layer.bias_id();
  if (const auto exact = sink.exact(id, static_cast<std::size_t>(dimension))) {
    for (Index n = 0; n < delta.cols(); ++n) {
      const T* column = delta.data() + n * dimension;
      for (Index d = 0; d < dimension; ++d) {
        const T term = weights[n] * column[d];
        exact->sums[static_cast<std::size_t>(d)] += exact->grid.round(static_cast<double>(term));
      }
    }
    return;
  }
  VectorMap<T>(sink.sum(id).data() + layer.own().begin, dimension).noalias() += delta * weights;
}

/// After the ranks' sums are added: what add_weighted_sum added exactly becomes the bias's sum.
template <class T>
void take_exact_bias(const LinearLayer<T>& layer, StepSums<T>& sums) {
  take_exact(sums, layer.bias_id(), static_cast<std::size_t>(layer.own().size()));
}

}  // namespace relgrad
