#include "train/inner_products.hpp"

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
  is_announced_ = true;
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
  exchange.inner_product(delta_, outputs_, {0, delta_.rows()}, layer.inner);
  is_announced_ = false;
}

template <class T>
double InnerProducts<T>::log_abs_det_change(double growth, double step) const {
  if (!wanted_ || !is_complete_) return std::numeric_limits<double>::quiet_NaN();
  double change = 0;
  for (std::size_t k = 0; k < count_; ++k) {
    change += relgrad::log_abs_det_change(layers_[k].dimension, growth, step, layers_[k].inner);
  }
  return change;
}

template class InnerProducts<float>;
template class InnerProducts<double>;

}  // namespace relgrad
