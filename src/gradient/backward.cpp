#include "relgrad/gradient/backward.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "core/names.hpp"
#include "gradient/convolution_gradient.hpp"
#include "gradient/linear_gradient.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

constexpr Names<GradientKind, 3> names = {{{GradientKind::relative, "relative"},
                                           {GradientKind::self_normalizing, "self-normalizing"},
                                           {GradientKind::plain, "plain"}}};

}  // namespace

GradientKind parse_gradient_kind(std::string_view name) {
  if (const auto kind = value_for(names, name)) return *kind;
  throw UsageError(
      fmt::format("--gradient: '{}' is none of {}; the first two cost B D^2, plain D^3", name,
                  all_words(names)));
}

std::string_view name_of(GradientKind kind) { return word_for(names, kind); }

namespace {

/// The one gradient of a layer that has one.
template <class T>
class OwnGradient final : public LayerGradient<T> {
 public:
  explicit OwnGradient(const DifferentiableLayer<T>& layer) : layer_(&layer) {}
  void backward(LayerPass<T> pass, LayerDelta<T> delta, GradientSink<T>& sink) override {
    if (layer_->has_sample_independent_part()) {
      log_abs_det_ = layer_->sample_independent_log_abs_det();
    }
    layer_->backward(pass, delta, sink);
  }
  void take_exact_sums(StepSums<T>& sums) override { layer_->take_exact_sums(sums); }
  std::optional<double> log_abs_det_change() const override {
    return layer_->has_sample_independent_part() ? std::nullopt : std::optional(0.0);
  }

  std::optional<double> log_abs_det() const override { return log_abs_det_; }

 private:
  const DifferentiableLayer<T>* layer_;
  double log_abs_det_ = 0;
};

template <class T>
class MakeGradient final : public LayerVisitor<T> {
 public:
  explicit MakeGradient(const GradientOptions& options) : options_(options) {}
  void visit(LinearLayer<T>& layer) override { made = make_linear_gradient(layer, options_); }
  void visit(ConvolutionLayer<T>& layer) override {
    made = make_convolution_gradient(layer, options_);
  }
  void visit(DifferentiableLayer<T>& layer) override {
    made = std::make_unique<OwnGradient<T>>(layer);
  }
  std::unique_ptr<LayerGradient<T>> made;

 private:
  const GradientOptions& options_;
};

}  // namespace

template <class T>
std::unique_ptr<LayerGradient<T>> make_layer_gradient(Layer<T>& layer,
                                                      const GradientOptions& options) {
  MakeGradient<T> make(options);
  layer.accept(make);
  return std::move(make.made);
}

template <class T>
FlowGradient<T>::FlowGradient(Flow<T>& flow, const GradientOptions& options) {
  for (std::size_t i = 0; i < flow.layer_count(); ++i) {
    layers_.push_back(make_layer_gradient(flow.layer(i), options));
  }
}

template <class T>
void FlowGradient<T>::share_work(int rank, int world_size) {
  std::vector<LayerGradient<T>*> sharing;
  for (const auto& layer : layers_) {
    if (layer->work_for_all() > 0) sharing.push_back(layer.get());
  }
  std::ranges::stable_sort(sharing, std::greater<>(), &LayerGradient<T>::work_for_all);
  std::vector<double> work(static_cast<std::size_t>(world_size));
  for (LayerGradient<T>* layer : sharing) {
    const auto least = std::ranges::min_element(work);
    *least += layer->work_for_all();
    layer->share_work(least - work.begin() == rank);
  }
}

template <class T>
void FlowGradient<T>::begin(const StepNumbers& numbers, const ColumnShare<T>& share) {
  for (auto& layer : layers_) layer->begin(numbers, share);
}

template <class T>
void FlowGradient<T>::backward(Workspace<T>& workspace, GradientSink<T>& sink) {
  for (std::size_t i = layers_.size(); i-- > 0;) {
    layers_[i]->backward(workspace.pass(i), workspace.layer_delta(i), sink);
  }
}

template <class T>
void FlowGradient<T>::take_exact_sums(StepSums<T>& sums) {
  for (auto& layer : layers_) layer->take_exact_sums(sums);
}

template <class T>
void FlowGradient<T>::finish(const StepSums<T>& sums) {
  for (auto& layer : layers_) layer->finish(sums);
}

namespace {

/// The sum of what every layer's gradient knows; none if one does not know it.
template <class T>
std::optional<double> sum_over_layers(const std::vector<std::unique_ptr<LayerGradient<T>>>& layers,
                                      std::optional<double> (LayerGradient<T>::*part)() const) {
  double sum = 0;
  for (const auto& layer : layers) {
    const auto of_layer = (*layer.*part)();
    if (!of_layer) return {};
    sum += *of_layer;
  }
  return sum;
}

}  // namespace

template <class T>
std::optional<double> FlowGradient<T>::log_abs_det() const {
  return sum_over_layers(layers_, &LayerGradient<T>::log_abs_det);
}

template <class T>
std::optional<double> FlowGradient<T>::log_abs_det_change() const {
  return sum_over_layers(layers_, &LayerGradient<T>::log_abs_det_change);
}

template std::unique_ptr<LayerGradient<float>> make_layer_gradient(Layer<float>&,
                                                                   const GradientOptions&);
template std::unique_ptr<LayerGradient<double>> make_layer_gradient(Layer<double>&,
                                                                    const GradientOptions&);
template class FlowGradient<float>;
template class FlowGradient<double>;

}  // namespace relgrad
