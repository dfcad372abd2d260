#include "gradient/linear_gradient.hpp"

namespace relgrad {

template <class T>
std::unique_ptr<LayerGradient<T>> make_linear_gradient(LinearLayer<T>& layer,
                                                       const GradientOptions& options) {
  switch (options.kind) {
    case GradientKind::plain:
      return make_plain_gradient(layer, options);
    case GradientKind::self_normalizing:
      return options.newton_rows > 0 ? make_newton_gradient(layer, options)
                                     : make_self_normalizing_gradient(layer, options);
    case GradientKind::relative:
      break;
  }
  return make_relative_gradient(layer, options);
}

template std::unique_ptr<LayerGradient<float>> make_linear_gradient(LinearLayer<float>&,
                                                                    const GradientOptions&);
template std::unique_ptr<LayerGradient<double>> make_linear_gradient(LinearLayer<double>&,
                                                                     const GradientOptions&);

}  // namespace relgrad
