#pragma once
/// Options of the program as the options of the rooms that do the work.
#include <string>

#include "options/options.hpp"
#include "relgrad/data/dataset.hpp"
#include "relgrad/gradient/backward.hpp"
#include "relgrad/model/flow.hpp"
#include "relgrad/optim/optimizer.hpp"
#include "relgrad/transform/transform.hpp"

namespace relgrad {

/// Channels x height x width of images; D x 1 x 1 of other data.
SampleShape sample_shape_of(const DatasetInfo& data);

/// An element-wise layer of `kind` with the numbers that the options give it.
LayerSpec activation_spec(const std::string& kind, const TrainOptions& options);

/// The flow that --model or the short forms (--layers, --activation, ...) say. With --conditional,
/// data.class_rows are its classes.
/// @throws UsageError
FlowSpec flow_spec_of(const TrainOptions& options, const DatasetInfo& data);

/// @throws UsageError: logit of data that are not 8-bit.
TransformOptions transform_options_of(const TrainOptions& options, const DatasetInfo& data);

/// @param tracks_log_abs_det  steps tell the change of log|det|
GradientOptions gradient_options_of(const TrainOptions& options, bool tracks_log_abs_det = false);

/// @throws UsageError on every rank: natural with another gradient than relative, or with clipping.
OptimizerOptions optimizer_options_of(const TrainOptions& options);

}  // namespace relgrad
