#pragma once
/// The estimators of a full linear layer's gradient.
#include <memory>

#include "relgrad/gradient/backward.hpp"
#include "relgrad/model/linear.hpp"

namespace relgrad {

template <class T>
std::unique_ptr<LayerGradient<T>> make_linear_gradient(LinearLayer<T>& layer,
                                                       const GradientOptions& options);
template <class T>
std::unique_ptr<LayerGradient<T>> make_plain_gradient(LinearLayer<T>& layer,
                                                      const GradientOptions& options);
template <class T>
std::unique_ptr<LayerGradient<T>> make_relative_gradient(LinearLayer<T>& layer,
                                                         const GradientOptions& options);
template <class T>
std::unique_ptr<LayerGradient<T>> make_self_normalizing_gradient(LinearLayer<T>& layer,
                                                                 const GradientOptions& options);
template <class T>
std::unique_ptr<LayerGradient<T>> make_newton_gradient(LinearLayer<T>& layer,
                                                       const GradientOptions& options);

}  // namespace relgrad
