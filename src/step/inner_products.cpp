#include "step/inner_products.hpp"

#include <limits>
#include <new>

#include "relgrad/likelihood/log_abs_det_change.hpp"

namespace relgrad {

template <class T>
void InnerProducts<T>::begin() {
  count_ = 0;
  is_complete_ = true;
  is_announced_ = false;
}

template <class T>
void InnerProducts<T>::announce(const ConstMatrixMap<T>& delta, const ConstMatrixMap<T>& outputs) {
  if (!wanted_) return;
  // A map is pointed elsewhere by building it again in its place (Eigen::Map).
  new (&delta_) ConstMatrixMap<T>(delta.data(), delta.rows(), delta.cols());
  new (&outputs_) ConstMatrixMap<T>(outputs.data(), outputs.rows(), outputs.cols());
  log_growth_.reset();
  is_announced_ = true;
}

template <class T>
void InnerProducts<T>::announce(const ConstMatrixMap<T>& delta, const ConstMatrixMap<T>& outputs,
                                const Vector<double>& growth) {
  if (!wanted_) return;
  divided_ = outputs.array().colwise() / growth.template cast<T>().array();
  announce(delta, ConstMatrixMap<T>(divided_.data(), divided_.rows(), divided_.cols()));
  log_growth_ = growth.array().abs().log().sum();
}

template <class T>
void InnerProducts<T>::take(Exchange<T>& exchange) {
  if (!wanted_) return;
  if (!is_announced_) {
    is_complete_ = false;
    return;
  }
  if (count_ == layers_.size()) layers_.emplace_back();
  Layer& layer = layers_[count_++];
  layer.dimension = delta_.rows();
  layer.log_growth = log_growth_;
  exchange.inner_product(delta_, outputs_, {0, delta_.rows()}, layer.inner);
  is_announced_ = false;
}

template <class T>
double InnerProducts<T>::log_abs_det_change(double growth, double step) const {
  if (!wanted_ || !is_complete_) return std::numeric_limits<double>::quiet_NaN();
  double change = 0;
  for (std::size_t k = 0; k < count_; ++k) {
    const Layer& layer = layers_[k];
    const double common = layer.log_growth ? 1.0 : growth;
    change += layer.log_growth.value_or(0.0) +
              relgrad::log_abs_det_change(layer.dimension, common, step, layer.inner);
  }
  return change;
}

template class InnerProducts<float>;
template class InnerProducts<double>;

}  // namespace relgrad
