#include "translate/translate.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "relgrad/core/error.hpp"
#include "relgrad/model/model_line.hpp"
#include "relgrad/mpi/agreement.hpp"

namespace relgrad {

SampleShape sample_shape_of(const DatasetInfo& data) {
  const std::vector<Index>& shape = data.sample_shape;
  if (shape.size() == 3) return {shape[0], shape[1], shape[2]};
  return data.dimension;
}

LayerSpec activation_spec(const std::string& kind, const TrainOptions& options) {
  if (kind == "smooth-leaky-relu") return {kind, {{"slope", options.leaky_slope}}};
  if (kind == "leaky-tanh") {
    return {kind, {{"scale", options.tanh_scale}, {"slope", options.leaky_slope}}};
  }
  if (kind == "spline") {
    return {kind,
            {{"bins", static_cast<double>(options.spline_bins)}, {"bound", options.spline_bound}}};
  }
  return {kind, {}};
}

namespace {

FlowSpec unconditional_spec_of(const TrainOptions& options, const DatasetInfo& data) {
  const bool keeps_inverse = gradient_options_of(options).needs_kept_inverse();
  const SampleShape sample = sample_shape_of(data);
  if (options.model.empty()) {
    const std::string last = options.last_activation != "auto" ? options.last_activation
                             : options.activation == "spline"  ? "spline"
                                                               : "none";
    return make_flow_spec(sample, options.layers, activation_spec(options.activation, options),
                          activation_spec(last, options), parse_latent(options.latent),
                          keeps_inverse);
  }
  LayerDefaults defaults;
  for (const char* kind : {"spline", "smooth-leaky-relu", "leaky-tanh"}) {
    defaults[kind] = activation_spec(kind, options).settings;
  }
  FlowSpec spec{sample, parse_latent(options.latent), parse_model_line(options.model, defaults), 0};
  for (LayerSpec& layer : spec.layers) {
    const auto syntax = std::ranges::find(layer_syntax(), layer.kind, &LayerSyntax::kind);
    if (keeps_inverse && syntax->learns_inverse) layer.settings["inverse"] = 1;
  }
  return spec;
}

}  // namespace

FlowSpec flow_spec_of(const TrainOptions& options, const DatasetInfo& data) {
  FlowSpec spec = unconditional_spec_of(options, data);
  if (options.conditional) spec.classes = static_cast<Index>(data.class_rows.size());
  return spec;
}

GradientOptions gradient_options_of(const TrainOptions& options, bool tracks_log_abs_det) {
  GradientOptions gradient(parse_gradient_kind(options.gradient));
  gradient.inverse_every = options.inverse_every;
  gradient.reconstruction_weight = options.reconstruction_weight;
  gradient.reconstruction_tolerance = options.geco_tolerance;
  gradient.natural = options.optimizer == "natural";
  gradient.natural_epsilon = options.epsilon;
  gradient.tracks_log_abs_det = tracks_log_abs_det;
  gradient.weight_decay = options.weight_decay;
  gradient.symmetric = options.reconstruction == "symmetric";
  if (options.reconstruction == "newton") {
    gradient.newton_rows = options.newton_rows > 0 ? options.newton_rows : options.batch_size;
  }
  return gradient;
}

TransformOptions transform_options_of(const TrainOptions& options, const DatasetInfo& dataset) {
  TransformOptions transform;
  transform.logit_a = options.logit_a;
  transform.marginal_pseudo_count = options.marginal_pseudo_count;
  if (options.marginal) {
    transform.kind = TransformKind::marginal;
  } else if (options.transform == "auto") {
    transform.kind =
        dataset.type == ElementType::uint8 ? TransformKind::logit : TransformKind::standardize;
  } else {
    transform.kind = parse_transform_kind(options.transform);
  }
  if (transform.kind == TransformKind::logit && dataset.type != ElementType::uint8) {
    throw UsageError(
        "--transform: logit is for 8-bit images, this data set is real-valued; use standardize, "
        "none or --marginal");
  }
  return transform;
}

OptimizerOptions optimizer_options_of(const TrainOptions& options) {
  if (options.optimizer == "natural" && options.gradient != "relative") {
    mpi::throw_on_all_ranks(UsageError(
        fmt::format("--optimizer: natural scales the relative gradient; --gradient {} has none",
                    options.gradient)));
  }
  if (options.optimizer == "natural" && options.clip_norm > 0) {
    mpi::throw_on_all_ranks(UsageError(
        "--clip-norm: natural steps are already scaled; use --warmup or a smaller --lr"));
  }
  return {parse_optimizer_kind(options.optimizer),
          options.momentum,
          options.beta1,
          options.beta2,
          options.epsilon,
          options.weight_decay};
}

}  // namespace relgrad
