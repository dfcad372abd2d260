#pragma once
/// The estimators of a convolution's gradient.
#include <memory>

#include "model/convolution_layer.hpp"
#include "relgrad/gradient/backward.hpp"

namespace relgrad {

template <class T>
std::unique_ptr<LayerGradient<T>> make_convolution_gradient(ConvolutionLayer<T>& layer,
                                                            const GradientOptions& options);

}  // namespace relgrad
