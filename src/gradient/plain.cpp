#include "gradient/linear_gradient.hpp"
#include "gradient/linear_parts.hpp"
#include "linalg/inverse.hpp"

namespace relgrad {

namespace {

/// G_W = Delta X^T + B W^{-T},   G_b = Delta 1
template <class T>
class PlainGradient final : public LayerGradient<T> {
 public:
  PlainGradient(LinearLayer<T>& layer, std::int64_t inverse_every)
      : layer_(&layer), inverse_every_(inverse_every) {}

  void begin(const StepNumbers& numbers, const ColumnShare<T>& /*share*/) override {
    if (inverse_every_ > 1 && numbers.step % inverse_every_ == 0) layer_->refresh_inverse();
  }

  void backward(LayerPass<T> pass, LayerDelta<T> delta, GradientSink<T>& sink) override {
    const ConstMatrixMap<T> delta_out = read(delta.output);
    if (delta.input_is_needed) {
      multiply_transposed(*layer_, layer_->weight(), delta_out, delta.input.data());
    }
    add_weighted_sum<T>(*layer_, delta_out, Vector<T>::Ones(delta_out.cols()), sink);

    const T* inverse = nullptr;
    if (inverse_every_ > 1) {
      inverse = layer_->inverse_transposed().data();
    } else {
      const Index d = layer_->dimension();
      inverse_.resize(d, d);
      inverse_transposed("plain gradient: W", layer_->weight(), layer_->products(),
                         MatrixMap<T>(inverse_.data(), d, d));
      inverse = inverse_.data();
    }
    sink.give({layer_->bias_id(), {}, {}});
    sink.give({layer_->weight_id(), Factors<T>{delta_out, pass.input, {}}, {T{0}, inverse}});
  }

  void take_exact_sums(StepSums<T>& sums) override { take_exact_bias(*layer_, sums); }

 private:
  LinearLayer<T>* layer_;
  std::int64_t inverse_every_;
  Matrix<T> inverse_;  // W^{-T}
};

}  // namespace

template <class T>
std::unique_ptr<LayerGradient<T>> make_plain_gradient(LinearLayer<T>& layer,
                                                      const GradientOptions& options) {
  return std::make_unique<PlainGradient<T>>(layer, options.inverse_every);
}

template std::unique_ptr<LayerGradient<float>> make_plain_gradient(LinearLayer<float>&,
                                                                   const GradientOptions&);
template std::unique_ptr<LayerGradient<double>> make_plain_gradient(LinearLayer<double>&,
                                                                    const GradientOptions&);

}  // namespace relgrad
