#pragma once
/// The layers of a flow, before there is memory for their parameters.
#include <memory>
#include <vector>

#include "relgrad/model/flow.hpp"

namespace relgrad {

/// The layers of `spec` and, after them, the latent density. Their parameters are declared in
/// `store`, not allocated. @throws UsageError as Flow
template <class T>
std::vector<std::unique_ptr<Layer<T>>> make_layers(const FlowSpec& spec, ParameterStore<T>& store,
                                                   const Products& products,
                                                   RowGroup<T>* row_group);

}  // namespace relgrad
