#include "relgrad/model/linear.hpp"

#include "relgrad/linalg/log_abs_det.hpp"
#include "relgrad/linalg/lu.hpp"

namespace relgrad {

template <class T>
LinearLayer<T>::LinearLayer(ParameterStore<T>& store, const Products& products,
                            const std::string& prefix, Index dimension, RowGroup<T>* row_group)
    : store_(&store),
      products_(&products),
      prefix_(prefix),
      dimension_(dimension),
      row_group_(row_group),
      own_(row_group == nullptr ? Range{0, dimension} : row_group->own(dimension)),
      weight_id_(store.add(prefix + "/W", ParameterGroup::weight, dimension, dimension, own_)),
      bias_id_(store.add(prefix + "/b", ParameterGroup::bias, dimension, 1)) {}

template <class T>
ConstVectorMap<T> LinearLayer<T>::bias() const {
  return {std::as_const(*store_).values(bias_id_).data(), dimension_};
}

template <class T>
void LinearLayer<T>::forward(const ConstMatrixMap<T>& input, MatrixMap<T> output,
                             std::span<double> /*log_abs_det*/) const {
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
void LinearLayer<T>::inverse(const ConstMatrixMap<T>& output, MatrixMap<T> input) const {
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
double LinearLayer<T>::sample_independent_log_abs_det() const {
  if (row_group_ != nullptr) return row_group_->log_abs_det(prefix_ + "/W", weight());
  return log_abs_det(prefix_ + "/W", weight());
}

template class LinearLayer<float>;
template class LinearLayer<double>;

}  // namespace relgrad
