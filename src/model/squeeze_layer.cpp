#include "model/squeeze_layer.hpp"

#include <fmt/format.h>

#include "coupling/squeeze.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

template <class T>
SqueezeLayer<T>::SqueezeLayer(const std::string& where, const SampleShape& shape) : shape_(shape) {
  if (shape.height % 2 != 0 || shape.width % 2 != 0) {
    throw UsageError(
        fmt::format("{}: squeeze halves height and width, and {} is odd in one; leave the squeeze "
                    "out, or prepare images of an even size",
                    where, text_of(shape)));
  }
}

template <class T>
void SqueezeLayer<T>::forward(LayerPass<T> pass) const {
  squeeze(shape_.channels, shape_.height, shape_.width, pass.input, pass.output);
}

template <class T>
void SqueezeLayer<T>::inverse(const ConstMatrixMap<T>& output, const ConstMatrixMap<T>& /*latent*/,
                              MatrixMap<T> input, InverseKind /*kind*/) const {
  unsqueeze(shape_.channels, shape_.height, shape_.width, output, input);
}

template <class T>
void SqueezeLayer<T>::backward(LayerPass<T> /*pass*/, LayerDelta<T> delta,
                               GradientSink<T>& /*sink*/) const {
  if (!delta.input_is_needed) return;
  const ConstMatrixMap<T> output(delta.output.data(), delta.output.rows(), delta.output.cols());
  unsqueeze(shape_.channels, shape_.height, shape_.width, output, delta.input);
}

template class SqueezeLayer<float>;
template class SqueezeLayer<double>;

}  // namespace relgrad
