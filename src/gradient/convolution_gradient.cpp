#include "gradient/convolution_gradient.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "convolution/exact_convolution.hpp"
#include "gradient/geco.hpp"
#include "gradient/room.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

/// What both estimators do alike.
template <class T>
class ConvolutionGradient : public LayerGradient<T> {
 public:
  explicit ConvolutionGradient(ConvolutionLayer<T>& layer) : layer_(&layer) {}
  void take_exact_sums(StepSums<T>& sums) override {
    take_exact(sums, layer_->weight_id(), layer_->weights().size());
    take_exact(sums, layer_->bias_id(), layer_->bias().size());
  }

 protected:
  /// Adds left corr right to the sums of kernel `id`, and the sum of `left` to those of the bias
  /// or, without one, to nothing.
  void add_sums(ParameterId id, const ConstMatrixMap<T>& left, const ConstMatrixMap<T>& right,
                std::optional<ParameterId> bias, GradientSink<T>& sink) {
    const ConvolutionLayer<T>& layer = *layer_;
    const std::span<T> scratch = layer.convolution_scratch();
    if (const auto exact = sink.exact(id, layer.weights().size())) {
      unread_exact_.resize(layer.bias().size());
      const std::span<double> bias_sums =
          bias ? sink.exact(*bias, layer.bias().size())->sums : std::span<double>(unread_exact_);
      add_weight_gradient_exact<T>(layer.convolution(), right, left, exact->grid, exact->sums,
                                   bias_sums, scratch);
      return;
    }
    unread_.resize(layer.bias().size());
    add_weight_gradient<T>(layer.convolution(), right, left, sink.sum(id),
                           bias ? sink.sum(*bias) : std::span<T>(unread_), scratch);
  }

  ConvolutionLayer<T>* layer_;

 private:
  std::vector<T> unread_;
  std::vector<double> unread_exact_;
};

/// G_w = Delta corr X + N d log|det T| / d w,   G_b = sum of Delta                          exact
/// log|det T| and its slope do not depend on the samples: where work is shared, one rank computes
/// them and adds them to statistics, to which the other ranks add nothing.
template <class T>
class ExactConvolutionGradient final : public ConvolutionGradient<T> {
 public:
  explicit ExactConvolutionGradient(ConvolutionLayer<T>& layer)
      : ConvolutionGradient<T>(layer),
        log_abs_det_(layer.prefix() + "/w", layer.convolution()),
        slope_(layer.weights().size()) {}

  void backward(LayerPass<T> pass, LayerDelta<T> delta, GradientSink<T>& sink) override {
    const ConvolutionLayer<T>& layer = *this->layer_;
    const ConstMatrixMap<T> delta_out = read(delta.output);
    this->add_sums(layer.weight_id(), delta_out, pass.input, layer.bias_id(), sink);
    if (delta.input_is_needed) {
      convolve_transposed<T>(layer.convolution(), layer.weights(), delta_out, delta.input,
                             layer.convolution_scratch());
    }
    find_log_abs_det(sink);
    const ParameterGradient<T> both[] = {{layer.weight_id(), {}, {T{0}, slope_.data(), T{1}}},
                                         {layer.bias_id(), {}, {}}};
    sink.give(both);
  }
  void take_exact_sums(StepSums<T>& sums) override {
    ConvolutionGradient<T>::take_exact_sums(sums);
    if (!is_shared_) return;
    const std::span<const T> found = sums.statistics(this->layer_->weight_id());
    const T scale = scale_;
    std::ranges::transform(found.first(slope_.size()), slope_.begin(),
                           [scale](T part) { return scale * part; });
    value_ = static_cast<double>(scale) *
             (static_cast<double>(found[slope_.size()]) + static_cast<double>(found.back()));
    if (std::isnan(value_)) {  // the rank that does the work found none: all end, and say why
      log_abs_det_now();
      throw DivergedError(this->layer_->prefix() + "/w: log|det| is not finite");
    }
  }
  std::optional<double> log_abs_det() const override { return value_; }
  double work_for_all() const override {
    return convolution_log_abs_det_flops(this->layer_->convolution());
  }
  void share_work(bool is_mine) override {
    is_shared_ = true;
    is_mine_ = is_mine;
  }

 private:
  void log_abs_det_now() {
    const ConvolutionLayer<T>& layer = *this->layer_;
    value_ =
        log_abs_det_.evaluate(layer.prefix() + "/w", layer.weights(), layer.products(), slope_);
  }

  void find_log_abs_det(GradientSink<T>& sink) {
    if (!is_shared_) return log_abs_det_now();
    const ParameterId id = this->layer_->weight_id();
    const std::size_t count = slope_.size() + 2;
    const std::span<T> statistics = sink.statistics(id, count);
    const auto exact = sink.exact_statistics(id, count);
    // Exact sums hold numbers of the size of one sample's term; these grow with the positions.
    scale_ = exact ? static_cast<T>(this->layer_->convolution().positions()) : T{1};
    if (!is_mine_) return;
    const auto add = [&](std::size_t i, double value) {
      if (exact) {
        exact->sums[i] += exact->grid.round(value / static_cast<double>(scale_));
      } else {
        statistics[i] += static_cast<T>(value);
      }
    };
    try {
      log_abs_det_now();
    } catch (const DivergedError&) {
      add(slope_.size(), std::numeric_limits<double>::quiet_NaN());
      return;
    }
    for (std::size_t i = 0; i < slope_.size(); ++i) add(i, static_cast<double>(slope_[i]));
    const auto rounded = static_cast<T>(value_);  // and what T has no digits for
    add(slope_.size(), static_cast<double>(rounded));
    add(slope_.size() + 1, value_ - static_cast<double>(rounded));
  }

  ConvolutionLogAbsDet<T> log_abs_det_;
  bool is_shared_ = false;
  bool is_mine_ = true;
  T scale_ = 1;  // of what is in the statistics
  double value_ = 0;
  std::vector<T> slope_;  // d log|det T| / d w
};

/// Keller et al. 2021 (arXiv 2011.07248), z = w * x without the bias, x^ = R * z, E = x^ - x,
/// Delta_x = w^T * Delta_z, m(i, j) how often tap (i, j) occurs in the matrix of the convolution:
///   G_w =  1/2 (Delta_z corr x + N m flip(R)) - 2 lambda (R^T * E) corr x
///   G_R = -1/2 (Delta_x corr z + N m flip(w)) - 2 lambda E corr z              G_b = sum of
///   Delta_z
/// Biased even at the best R: a kernel of that size is no inverse.
template <class T>
class SelfNormalizingConvolutionGradient final : public ConvolutionGradient<T> {
 public:
  SelfNormalizingConvolutionGradient(ConvolutionLayer<T>& layer, const GradientOptions& options)
      : ConvolutionGradient<T>(layer),
        options_(options),
        of_weights_(layer.weights().size()),
        of_inverse_(layer.weights().size()) {}

  void backward(LayerPass<T> pass, LayerDelta<T> delta, GradientSink<T>& sink) override {
    const ConvolutionLayer<T>& layer = *this->layer_;
    const ConvolutionShape& shape = layer.convolution();
    const std::span<T> scratch = layer.convolution_scratch();
    const Index batch = pass.input.cols();
    const Index size = pass.input.rows();
    MatrixMap<T> z(pass.scratch.data(), size, batch);
    MatrixMap<T> error(z.data() + z.size(), size, batch);
    MatrixMap<T> back(error.data() + error.size(), size, batch);
    z = pass.output;
    for (Index c = 0; c < shape.channels_in; ++c) {
      z.middleRows(c * shape.positions(), shape.positions()).array() -=
          layer.bias()[static_cast<std::size_t>(c)];
    }
    convolve<T>(shape, layer.inverse_weights(), {}, read(z), error, scratch);
    error -= pass.input;  // E
    add_error(error, sink);
    convolve_transposed<T>(shape, layer.inverse_weights(), read(error), back, scratch);  // R^T * E
    convolve_transposed<T>(shape, layer.weights(), read(delta.output), delta.input, scratch);

    const T c = static_cast<T>(2.0 * options_.reconstruction_weight *
                               std::exp(static_cast<double>(layer.reconstruction()[0])));
    add_bias(delta.output, sink);
    back = T{0.5} * delta.output - c * back;
    error = T{-0.5} * delta.input - c * error;
    this->add_sums(layer.weight_id(), read(back), pass.input, {}, sink);
    this->add_sums(layer.inverse_id(), read(error), read(z), {}, sink);

    every_sample(layer.inverse_weights(), of_weights_);
    every_sample(layer.weights(), of_inverse_);
    const ParameterGradient<T> all[] = {
        {layer.weight_id(), {}, {T{0}, of_weights_.data(), T{0.5}}},
        {layer.inverse_id(), {}, {T{0}, of_inverse_.data(), T{-0.5}}},
        {layer.bias_id(), {}, {}}};
    sink.give(all);
  }

  void take_exact_sums(StepSums<T>& sums) override {
    ConvolutionGradient<T>::take_exact_sums(sums);
    take_exact(sums, this->layer_->inverse_id(), this->layer_->weights().size());
    take_exact(sums, this->layer_->reconstruction_id(), 1);
  }

  void finish(const StepSums<T>& sums) override {
    const ParameterId id = this->layer_->reconstruction_id();
    const StepNumbers& numbers = sums.numbers();
    const double error = static_cast<double>(sums.total(id)[0]) / numbers.samples;
    update_reconstruction(this->layer_->parameters().values(id), error,
                          options_.reconstruction_tolerance, numbers.step);
  }

 private:
  /// m(i, j) flip(kernel)(o, c, i, j)
  void every_sample(std::span<const T> kernel, std::vector<T>& result) const {
    const ConvolutionShape& shape = this->layer_->convolution();
    flip_weights<T>(shape, kernel, result);
    const Index taps = shape.taps;
    for (std::size_t i = 0; i < result.size(); ++i) {
      const Index tap = static_cast<Index>(i) % (taps * taps);
      result[i] *= static_cast<T>(tap_multiplicity(shape, tap / taps, tap % taps));
    }
  }

  /// The sum of Delta_z over positions of every channel.
  void add_bias(const MatrixMap<T>& delta, GradientSink<T>& sink) const {
    const ConvolutionShape& shape = this->layer_->convolution();
    const auto exact = sink.exact(this->layer_->bias_id(), this->layer_->bias().size());
    const std::span<T> sum = sink.sum(this->layer_->bias_id());
    for (Index n = 0; n < delta.cols(); ++n) {
      for (Index c = 0; c < shape.channels_in; ++c) {
        const T term = delta.col(n).segment(c * shape.positions(), shape.positions()).sum();
        const auto i = static_cast<std::size_t>(c);
        if (exact) {
          exact->sums[i] += exact->grid.round(static_cast<double>(term));
        } else {
          sum[i] += term;
        }
      }
    }
  }

  /// Adds this rank's part of sum_n ||E_n||^2.
  void add_error(const MatrixMap<T>& error, GradientSink<T>& sink) const {
    const ParameterId id = this->layer_->reconstruction_id();
    const auto exact = sink.exact(id, 1);
    double sum = 0;
    for (Index n = 0; n < error.cols(); ++n) {
      double square = 0;
      for (Index i = 0; i < error.rows(); ++i) {
        square += static_cast<double>(error(i, n)) * static_cast<double>(error(i, n));
      }
      sum += exact ? exact->grid.round(square) : square;
    }
    if (exact) {
      exact->sums[0] += sum;
    } else {
      sink.sum(id)[0] += static_cast<T>(sum);
    }
  }

  GradientOptions options_;
  std::vector<T> of_weights_;
  std::vector<T> of_inverse_;
};

}  // namespace

template <class T>
std::unique_ptr<LayerGradient<T>> make_convolution_gradient(ConvolutionLayer<T>& layer,
                                                            const GradientOptions& options) {
  if (options.kind == GradientKind::self_normalizing && layer.keeps_inverse()) {
    return std::make_unique<SelfNormalizingConvolutionGradient<T>>(layer, options);
  }
  return std::make_unique<ExactConvolutionGradient<T>>(layer);
}

template std::unique_ptr<LayerGradient<float>> make_convolution_gradient(ConvolutionLayer<float>&,
                                                                         const GradientOptions&);
template std::unique_ptr<LayerGradient<double>> make_convolution_gradient(ConvolutionLayer<double>&,
                                                                          const GradientOptions&);

}  // namespace relgrad
