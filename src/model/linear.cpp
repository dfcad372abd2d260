#include "relgrad/model/linear.hpp"

#include "relgrad/linalg/log_abs_det.hpp"
#include "relgrad/linalg/lu.hpp"

namespace relgrad {

template <class T>
LinearLayer<T>::LinearLayer(ParameterStore<T>& store, const Products& products,
                            const std::string& prefix, Index dimension)
    : store_(&store),
      products_(&products),
      prefix_(prefix),
      dimension_(dimension),
      weight_id_(store.add(prefix + "/W", ParameterGroup::weight, dimension, dimension)),
      bias_id_(store.add(prefix + "/b", ParameterGroup::bias, dimension, 1)) {}

template <class T>
ConstVectorMap<T> LinearLayer<T>::bias() const {
  return {std::as_const(*store_).values(bias_id_).data(), dimension_};
}

template <class T>
void LinearLayer<T>::forward(const ConstMatrixMap<T>& input, MatrixMap<T> output,
                             std::span<double> /*log_abs_det*/) const {
  // Y = W X + b, the bias laid down first so that the product adds to it
  output.colwise() = Vector<T>(bias());
  products_->gemm(Transpose::no, Transpose::no, dimension_, input.cols(), dimension_,
                  weight().data(), dimension_, input.data(), dimension_, Onto::itself,
                  output.data(), dimension_);
}

template <class T>
void LinearLayer<T>::inverse(const ConstMatrixMap<T>& output, MatrixMap<T> input) const {
  const LuFactors factors(prefix_ + "/W", weight());
  Matrix<double> right = (output.colwise() - Vector<T>(bias())).template cast<double>();
  factors.solve_in_place(MatrixMap<double>(right.data(), right.rows(), right.cols()));
  input = right.template cast<T>();
}

template <class T>
double LinearLayer<T>::sample_independent_log_abs_det() const {
  return log_abs_det(prefix_ + "/W", weight());
}

template class LinearLayer<float>;
template class LinearLayer<double>;

}  // namespace relgrad
