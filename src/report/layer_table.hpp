#pragma once
/// The layers of a model, for people.
#include <nlohmann/json.hpp>

#include "relgrad/model/flow.hpp"

namespace relgrad {

/// One object per layer: layer, kind (as a model line has it), in, out, parameters, and
/// flops_per_sample of the forward pass.
/// @param tensors  of a checkpoint's manifest
nlohmann::ordered_json layer_table(const FlowSpec& flow, const nlohmann::json& tensors);

}  // namespace relgrad
