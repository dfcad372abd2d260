#include <algorithm>
#include <cmath>
#include <vector>

#include "gradient/linear_gradient.hpp"
#include "gradient/linear_parts.hpp"
#include "gradient/relative_scales.hpp"
#include "likelihood/log_abs_det_change.hpp"

namespace relgrad {

namespace {

/// x[i, :] *= factor[i]
template <class T>
void scale_rows(MatrixMap<T> x, const T* factor) {
  const Eigen::Map<const Eigen::Array<T, Eigen::Dynamic, 1>> factors(factor, x.rows());
  for (Index n = 0; n < x.cols(); ++n) x.col(n).array() *= factors;
}

template <class T>
MatrixMap<T> half(MatrixMap<T> pair, int which) {
  return {pair.data() + which * (pair.size() / 2), pair.rows(), pair.cols() / 2};
}

/// G_W = Delta (W^T Y)^T + B W,   G_b = Delta (1 + Y^T b) + B b            (Gresele et al. 2020)
/// Y includes the bias. W^T Delta and P = W^T Y come from one product with 2B columns.
/// With scales, E = Delta Y^T + B I becomes R E C: R Delta takes the place of Delta, C Y that of Y,
/// and R C W that of W.
template <class T>
class RelativeGradient final : public LayerGradient<T> {
 public:
  RelativeGradient(LinearLayer<T>& layer, const GradientOptions& options)
      : layer_(&layer), options_(options) {
    if (options.natural) scales_.emplace(layer, options.natural_epsilon);
  }

  void begin(const StepNumbers& numbers, const ColumnShare<T>& /*share*/) override {
    numbers_ = numbers;
    if (scales_) scales_->begin();
  }

  void backward(LayerPass<T> pass, LayerDelta<T> delta, GradientSink<T>& sink) override {
    const LinearLayer<T>& layer = *layer_;
    // [Delta | Y], D x 2B: neighbours in the workspace
    const MatrixMap<T> pair(delta.output.data(), pass.output.rows(), 2 * pass.output.cols());
    const MatrixMap<T> all = gathered(layer, pair);
    const ConstMatrixMap<T> delta_out = left_half(all);
    const ConstMatrixMap<T> y = right_half(all);
    // [W^T Delta | W^T Y]
    MatrixMap<T> products(pass.scratch.data(), pair.rows(), pair.cols());
    if (scales_) {
      scales_->add_squares(left_half(pair), right_half(pair), sink);
      scale_rows(half(all, 1), scales_->columns());
    }
    const PerSampleTerm<T> term{T{1}, nullptr, T{1}, scales_ ? scales_->product() : nullptr};
    Factors<T> factors{scales_ ? scaled(delta_out) : delta_out, right_half(products), {}};
    if (options_.tracks_log_abs_det) factors.outputs.emplace(outputs_over_growth(y));
    const ConstMatrixMap<T> multiplied = delta.input_is_needed ? read(all) : y;
    T* const to = products.data() + (delta.input_is_needed ? 0 : products.size() / 2);
    const bool moved = sink.multiply_and_move({layer.weight_id(), factors.left, multiplied,
                                               MatrixMap<T>(to, pair.rows(), multiplied.cols()),
                                               term, factors.outputs});
    if (!moved) multiply_transposed(layer, layer.weight(), multiplied, to);
    if (delta.input_is_needed) delta.input = left_half(products);

    const ConstVectorMap<T> b = layer.bias();
    weights_.assign(static_cast<std::size_t>(y.cols()), T{1});  // 1 + y_n . b
    layer.products().gemm(Transpose::yes, Transpose::no, y.cols(), 1, y.rows(), y.data(), y.rows(),
                          b.data(), b.size(), Onto::itself, weights_.data(), y.cols());
    if (scales_) scale_rows(half(pair, 0), scales_->rows() + layer.own().begin);
    add_weighted_sum(layer, left_half(pair), ConstVectorMap<T>(weights_.data(), y.cols()), sink);
    sink.give({layer.bias_id(), {}, term});
    if (!moved) sink.give({layer.weight_id(), factors, term});
  }

  void take_exact_sums(StepSums<T>& sums) override { take_exact_bias(*layer_, sums); }

  void finish(const StepSums<T>& sums) override {
    if (scales_) scales_->finish(sums);
    if (!options_.tracks_log_abs_det) return;
    const double step = numbers_.lr / sums.divisor();
    change_ = log_growth_ +
              relgrad::log_abs_det_change(layer_->dimension(),
                                          scales_ ? 1.0 : growth_of(step * sums.numbers().samples),
                                          step, sums.inner_product(layer_->weight_id()));
  }
  std::optional<double> log_abs_det_change() const override {
    return options_.tracks_log_abs_det ? std::optional(change_) : std::nullopt;
  }

 private:
  /// growth of W' = growth W + step Delta Y^T W under sgd, `lr` what the step on the term of every
  /// sample alike, W itself, comes to.
  double growth_of(double lr) const { return 1.0 + lr - numbers_.lr * options_.weight_decay; }

  /// R Delta, beside Delta, of which W^T Delta is still to be had.
  ConstMatrixMap<T> scaled(const ConstMatrixMap<T>& delta) {
    MatrixMap<T> copy = scaled_.matrix(delta.rows(), delta.cols());
    std::copy_n(delta.data(), delta.size(), copy.data());
    scale_rows(copy, scales_->rows());
    return read(copy);
  }

  /// What goes into Y^T Delta. With scales growth is diag(growth) and divided out of Y:
  ///   W' = diag(growth) (I + step diag(growth)^{-1} Delta Y^T) W
  ConstMatrixMap<T> outputs_over_growth(const ConstMatrixMap<T>& y) {
    log_growth_ = 0;
    if (!scales_) return y;
    Vector<double> growth(y.rows());
    for (Index i = 0; i < growth.size(); ++i) {
      growth[i] = growth_of(numbers_.lr * static_cast<double>(scales_->product()[i]));
    }
    divided_ = y.array().colwise() / growth.template cast<T>().array();
    log_growth_ = growth.array().abs().log().sum();
    return {divided_.data(), divided_.rows(), divided_.cols()};
  }

  LinearLayer<T>* layer_;
  GradientOptions options_;
  std::optional<RelativeScaleMeans<T>> scales_;
  StepNumbers numbers_;
  std::vector<T> weights_;  // 1 + y_n . b, one per sample; keeps its memory
  Room<T> scaled_;
  Matrix<T> divided_;
  double log_growth_ = 0;  // log|det diag(growth)|
  double change_ = 0;
};

}  // namespace

template <class T>
std::unique_ptr<LayerGradient<T>> make_relative_gradient(LinearLayer<T>& layer,
                                                         const GradientOptions& options) {
  return std::make_unique<RelativeGradient<T>>(layer, options);
}

template std::unique_ptr<LayerGradient<float>> make_relative_gradient(LinearLayer<float>&,
                                                                      const GradientOptions&);
template std::unique_ptr<LayerGradient<double>> make_relative_gradient(LinearLayer<double>&,
                                                                       const GradientOptions&);

}  // namespace relgrad
