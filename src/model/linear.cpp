#include "relgrad/model/linear.hpp"

#include <cmath>
#include <vector>

#include "linalg/inverse.hpp"
#include "linalg/log_abs_det.hpp"
#include "linalg/lu.hpp"
#include "model/random_start.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

template <class T>
LinearLayer<T>::LinearLayer(ParameterStore<T>& store, const Products& products,
                            const std::string& prefix, const SampleShape& shape,
                            RowGroup<T>* row_group, bool keeps_inverse)
    : store_(&store),
      products_(&products),
      prefix_(prefix),
      shape_(shape),
      dimension_(shape.size()),
      row_group_(row_group),
      own_(row_group == nullptr ? Range{0, dimension_} : row_group->own(dimension_)),
      weight_id_(store.add(prefix + "/W", {.by_columns = true, .decays = true}, dimension_,
                           dimension_, own_)),
      bias_id_(store.add(prefix + "/b", {}, dimension_, 1)) {
  if (!keeps_inverse) return;
  inverse_id_ =
      store.add(prefix + "/R-transposed", {.by_columns = true}, dimension_, dimension_, own_);
  reconstruction_id_ = store.add(prefix + "/reconstruction", {.moves = false}, 2, 1);
}

template <class T>
void LinearLayer<T>::initialize(const LayerStart& start) {
  if (start.initialization == Initialization::orthogonal) {
    initialize_orthogonal(start);
  } else {
    MatrixMap<T> weight = store_->matrix(weight_id_);
    std::vector<double> normal(static_cast<std::size_t>(dimension_));
    const double scale = start.noise / std::sqrt(static_cast<double>(dimension_));
    for (Index j = own_.begin; j < own_.end; ++j) {
      auto column = weight.col(j - own_.begin);
      if (start.noise > 0) {
        normal_column(start.seed, start.layer, j, normal);
        column = (scale * Eigen::Map<const Vector<double>>(normal.data(), dimension_))
                     .template cast<T>();
      }
      column[j] += T{1};
    }
  }
  if (keeps_inverse()) refresh_inverse();
}

template <class T>
void LinearLayer<T>::initialize_orthogonal(const LayerStart& start) {
  if (row_group_ != nullptr) {
    throw UsageError(
        "--init: orthogonal needs a whole W on a rank; use identity where W is shared by columns");
  }
  store_->matrix(weight_id_) =
      orthogonal_matrix(dimension_, start.seed, start.layer).template cast<T>();
}

template <class T>
ConstVectorMap<T> LinearLayer<T>::bias() const {
  return {std::as_const(*store_).values(bias_id_).data(), dimension_};
}

template <class T>
void LinearLayer<T>::forward(LayerPass<T> pass) const {
  const ConstMatrixMap<T>& input = pass.input;
  MatrixMap<T>& output = pass.output;
  const auto multiply = [&](Onto onto, MatrixMap<T> y) {
    products_->gemm(Transpose::no, Transpose::no, dimension_, input.cols(), own_.size(),
                    weight().data(), dimension_, input.data(), own_.size(), onto, y.data(),
                    dimension_);
  };
  if (row_group_ == nullptr) {
    // Y = W X + b, the bias laid down first so that the product adds to it
    for (Index n = 0; n < output.cols(); ++n) output.col(n) = bias();
    multiply(Onto::itself, output);
    return;
  }
  // Y = sum_r W[:, I_r] X[I_r] + b
  const MatrixMap<T> partial = row_group_->whole(dimension_, input.cols());
  multiply(Onto::zero, partial);
  row_group_->reduce_scatter(ConstMatrixMap<T>(partial.data(), dimension_, input.cols()), output);
  const ConstVectorMap<T> own_bias(bias().data() + own_.begin, own_.size());
  for (Index n = 0; n < output.cols(); ++n) output.col(n) += own_bias;
}

template <class T>
void LinearLayer<T>::inverse(const ConstMatrixMap<T>& output, const ConstMatrixMap<T>& /*latent*/,
                             MatrixMap<T> input, InverseKind kind) const {
  if (kind == InverseKind::learned && keeps_inverse()) {
    apply_learned(output, input);
  } else {
    solve(output, input);
  }
}

template <class T>
void LinearLayer<T>::solve(const ConstMatrixMap<T>& output, MatrixMap<T> input) const {
  const ConstVectorMap<T> own_bias(bias().data() + own_.begin, own_.size());
  if (row_group_ != nullptr) {
    input = output.colwise() - Vector<T>(own_bias);
    row_group_->solve(prefix_ + "/W", weight(), input);
    return;
  }
  const LuFactors factors(prefix_ + "/W", weight());
  Matrix<double> right = (output.colwise() - Vector<T>(own_bias)).template cast<double>();
  factors.solve_in_place(MatrixMap<double>(right.data(), right.rows(), right.cols()));
  input = right.template cast<T>();
}

template <class T>
void LinearLayer<T>::refresh_inverse() {
  MatrixMap<T> inverse = store_->matrix(inverse_id());
  if (row_group_ == nullptr) {
    relgrad::inverse_transposed(prefix_ + "/W", weight(), *products_, inverse);
    return;
  }
  // R[I_r, :] = rows I_r of W^{-1} I
  Matrix<T> own_rows = Matrix<T>::Zero(own_.size(), dimension_);
  own_rows.middleCols(own_.begin, own_.size()).setIdentity();
  row_group_->solve(prefix_ + "/W", weight(),
                    MatrixMap<T>(own_rows.data(), own_.size(), dimension_));
  inverse = own_rows.transpose();
}

template <class T>
void LinearLayer<T>::apply_learned(const ConstMatrixMap<T>& output, MatrixMap<T> input) const {
  const ConstVectorMap<T> own_bias(bias().data() + own_.begin, own_.size());
  const Matrix<T> own_z = output.colwise() - Vector<T>(own_bias);
  const T* z = own_z.data();
  if (row_group_ != nullptr) {
    const MatrixMap<T> all = row_group_->whole(dimension_, output.cols());
    row_group_->allgather(ConstMatrixMap<T>(own_z.data(), own_z.rows(), own_z.cols()), all);
    z = all.data();
  }
  // x = R z = (R^T)^T z
  products_->gemm(Transpose::yes, Transpose::no, own_.size(), output.cols(), dimension_,
                  inverse_transposed().data(), dimension_, z, dimension_, Onto::zero, input.data(),
                  own_.size());
}

template <class T>
double LinearLayer<T>::sample_independent_log_abs_det() const {
  if (row_group_ != nullptr) return row_group_->log_abs_det(prefix_ + "/W", weight());
  return log_abs_det(prefix_ + "/W", weight());
}

template class LinearLayer<float>;
template class LinearLayer<double>;

}  // namespace relgrad
