#include <cmath>
#include <vector>

#include "gradient/geco.hpp"
#include "gradient/linear_gradient.hpp"
#include "gradient/linear_parts.hpp"

namespace relgrad {

namespace {

/// Keller et al. 2021 (arXiv 2011.07248), Z = W X without the bias, X^ = R Z, E = X^ - X, X and
/// what Z is compared with held constant, Delta_x = W^T Delta_z:
///   G_W =  1/2 (Delta_z X^T + B R^T) - 2 lambda R^T E X^T
///   G_R = -1/2 (Delta_x Z^T + B W^T) - 2 lambda E Z^T          G_b = Delta_z 1
/// the gradients of -lambda ||X^ - X||^2 beside half of each map's likelihood. Symmetric: of
/// -lambda/2 (||X^ - X||^2 + ||Z^ - Z||^2), Z^ = W X^, F = Z^ - Z:
///   G_W gets  - lambda (R^T E X^T + F X^T^),   G_R  - lambda (E + W^T F) Z^T
/// With S = R^T all this is two outer products, each with a per-sample term that is half of the
/// other matrix, element by element, so that W and S may be shared by columns alike:
///   G_W = [Delta_z/2 - c S E | -lambda F] [X | X^]^T + B S/2,   c = 2 lambda (symmetric: lambda)
///   G_S = Z [-Delta_x/2 - c (E + W^T F)]^T           - B W/2
/// Six products of 2 B D^2 flops with the forward pass, nine if symmetric.
template <class T>
class SelfNormalizingGradient final : public LayerGradient<T> {
 public:
  SelfNormalizingGradient(LinearLayer<T>& layer, const GradientOptions& options)
      : layer_(&layer), options_(options) {}

  void backward(LayerPass<T> pass, LayerDelta<T> delta, GradientSink<T>& sink) override {
    const LinearLayer<T>& layer = *layer_;
    const ConstMatrixMap<T>& input = pass.input;
    const Index batch = input.cols();
    ones_.assign(static_cast<std::size_t>(batch), T{1});
    add_weighted_sum(layer, read(delta.output), ConstVectorMap<T>(ones_.data(), batch), sink);
    sink.give({layer.bias_id(), {}, {}});
    // [Delta | Y], D x 2B: neighbours in the workspace
    MatrixMap<T> all = gathered(
        layer, MatrixMap<T>(delta.output.data(), pass.output.rows(), 2 * pass.output.cols()));
    const ConstMatrixMap<T> delta_z = left_half(all);
    MatrixMap<T> z(all.data() + delta_z.size(), all.rows(), batch);
    z.colwise() -= layer.bias();

    MatrixMap<T>& delta_x = delta.input;
    MatrixMap<T> error(pass.scratch.data(), input.rows(), batch);
    multiply_transposed(layer, layer.weight(), delta_z, delta_x.data());
    multiply_transposed(layer, layer.inverse_transposed(), read(z), error.data());  // X^
    if (options_.symmetric) reconstructed_.matrix(input.rows(), batch) = error;
    error -= input;
    MatrixMap<T> back =
        sum_of_products(layer, layer.inverse_transposed(), read(error), back_, own_rows_);  // S E

    const T lambda = weight_of(layer);
    const T c = options_.symmetric ? lambda : T{2} * lambda;
    if (!options_.symmetric) {
      add_error(layer, error, nullptr, sink);
      back = T{0.5} * delta_z - c * back;
      error = T{-0.5} * delta_x - c * error;
      give(layer, {read(back), input, {}}, {read(z), read(error), {}}, sink);
      return;
    }
    const MatrixMap<T> reconstructed = reconstructed_.matrix(input.rows(), batch);
    MatrixMap<T> of_z = sum_of_products(layer, layer.weight(), read(reconstructed), of_z_,
                                        own_rows_);  // Z^, then F
    of_z -= z;
    add_error(layer, error, &of_z, sink);
    MatrixMap<T> pulled = pulled_.matrix(input.rows(), batch);  // W^T F
    multiply_transposed(layer, layer.weight(), read(of_z), pulled.data());
    error = T{-0.5} * delta_x - c * (error + pulled);
    // Sample by sample, so that the order of samples is that of the batch on any number of ranks.
    MatrixMap<T> left = left_.matrix(all.rows(), 2 * batch);
    MatrixMap<T> right = right_.matrix(input.rows(), 2 * batch);
    for (Index n = 0; n < batch; ++n) {
      left.col(2 * n) = T{0.5} * delta_z.col(n) - c * back.col(n);
      left.col(2 * n + 1) = -lambda * of_z.col(n);
      right.col(2 * n) = input.col(n);
      right.col(2 * n + 1) = reconstructed.col(n);
    }
    give(layer, {read(left), read(right), {}, 2}, {read(z), read(error), {}}, sink);
  }

  void take_exact_sums(StepSums<T>& sums) override {
    take_exact_bias(*layer_, sums);
    take_exact(sums, layer_->reconstruction_id(), 1);
  }

  void finish(const StepSums<T>& sums) override {
    const ParameterId id = layer_->reconstruction_id();
    const StepNumbers& numbers = sums.numbers();
    const double error = static_cast<double>(sums.total(id)[0]) / numbers.samples;
    update_reconstruction(layer_->parameters().values(id), error, options_.reconstruction_tolerance,
                          numbers.step);
  }

 private:
  T weight_of(const LinearLayer<T>& layer) const {
    const auto log_factor = static_cast<double>(layer.reconstruction()[0]);
    return static_cast<T>(options_.reconstruction_weight * std::exp(log_factor));
  }

  static void give(const LinearLayer<T>& layer, const Factors<T>& of_w, const Factors<T>& of_s,
                   GradientSink<T>& sink) {
    const ParameterGradient<T> both[] = {
        {layer.weight_id(), of_w, {T{0}, layer.inverse_transposed().data(), T{0.5}}},
        {layer.inverse_id(), of_s, {T{0}, layer.weight().data(), T{-0.5}}}};
    sink.give(both);
  }

  /// Adds this rank's part of sum_n ||E_n||^2 (symmetric: the mean with ||F_n||^2).
  void add_error(const LinearLayer<T>& layer, const MatrixMap<T>& error, const MatrixMap<T>* of_z,
                 GradientSink<T>& sink) const {
    const ParameterId id = layer.reconstruction_id();
    const auto exact = sink.exact(id, 1);
    double sum = 0;
    for (Index n = 0; n < error.cols(); ++n) {
      double square = squared_norm(error.col(n).data(), error.rows());
      if (of_z != nullptr) {
        square += squared_norm(of_z->col(n).data() + layer.own().begin, error.rows());
        square *= 0.5;
      }
      sum += exact ? exact->grid.round(square) : square;
    }
    if (exact) {
      exact->sums[0] += sum;
    } else {
      sink.sum(id)[0] += static_cast<T>(sum);
    }
  }
  /// In the order of coordinates, wherever the column lies.
  static double squared_norm(const T* values, Index size) {
    double sum = 0;
    for (Index i = 0; i < size; ++i) {
      sum += static_cast<double>(values[i]) * static_cast<double>(values[i]);
    }
    return sum;
  }

  LinearLayer<T>* layer_;
  GradientOptions options_;
  std::vector<T> ones_;  // one per sample; keeps its memory
  Room<T> back_, own_rows_, reconstructed_, of_z_, pulled_, left_, right_;
};

}  // namespace

template <class T>
std::unique_ptr<LayerGradient<T>> make_self_normalizing_gradient(LinearLayer<T>& layer,
                                                                 const GradientOptions& options) {
  return std::make_unique<SelfNormalizingGradient<T>>(layer, options);
}

template std::unique_ptr<LayerGradient<float>> make_self_normalizing_gradient(
    LinearLayer<float>&, const GradientOptions&);
template std::unique_ptr<LayerGradient<double>> make_self_normalizing_gradient(
    LinearLayer<double>&, const GradientOptions&);

}  // namespace relgrad
