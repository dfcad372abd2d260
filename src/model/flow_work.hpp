#pragma once
/// What a step of a flow computes and holds, by the figures that its layers state: what a choice of
/// exchange and a plan go by. No memory is reserved for its parameters.
#include <cstdint>

#include "relgrad/model/flow.hpp"

namespace relgrad {

struct FlowWork {
  // Weights used by columns, whose gradients go through the exchange.
  Index matrix_size = 0;      // rows of the largest; 0: there are none
  std::int64_t matrices = 0;  // one per full layer, two where it learns its inverse
  // Of all other layers.
  std::int64_t whole_parameters = 0;  // numbers that every rank holds whole, biases of full layers
                                      // included: one message sums their gradients
  double other_flops = 0;             // per sample, forward pass; element-wise layers left out
  double elements = 0;                // numbers per sample that pass element-wise layers
  LayerSpec elementwise{"none", {}};  // the costliest of these
  // Of all layers.
  double workspace = 0;               // numbers per sample that a Workspace holds
  bool splits_by_coordinates = true;  // ranks may share it in a row group
};

/// @throws UsageError as Flow
FlowWork work_of(const FlowSpec& spec);

}  // namespace relgrad
