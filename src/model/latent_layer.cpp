#include "model/latent_layer.hpp"

namespace relgrad {

template <class T>
void LatentLayer<T>::forward(LayerPass<T> pass) const {
  pass.latent = pass.input;
  add_latent_log_density(latent_, pass.input, pass.log_likelihood);
}

template <class T>
void LatentLayer<T>::inverse(const ConstMatrixMap<T>& /*output*/, const ConstMatrixMap<T>& latent,
                             MatrixMap<T> input, InverseKind /*kind*/) const {
  input = latent;
}

template <class T>
void LatentLayer<T>::backward(LayerPass<T> pass, LayerDelta<T> delta,
                              GradientSink<T>& /*sink*/) const {
  latent_score(latent_, pass.input, delta.input);
}

template class LatentLayer<float>;
template class LatentLayer<double>;

}  // namespace relgrad
