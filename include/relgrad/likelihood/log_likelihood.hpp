#pragma once
/// Exact log-likelihood of a flow, in nats, and the accounting of its units (MATH sections 1 and
/// 5).
#include <vector>

#include "relgrad/model/workspace.hpp"

namespace relgrad {

/// Forward pass over workspace.input(). On return every workspace.value(i) holds its layer's
/// output, workspace.latents() z and, for each sample n,
///   log_likelihood[n] += log p_Z(z_n) + sum of sample-dependent log-slopes         (nats)
/// In a row group each sample's value before the call counts once: on the rank that brought it.
/// The sample-independent sum_k log|det W_k| is NOT in it: see sample_independent_log_abs_det.
/// Cost: 2 B D^2 per linear layer.
template <class T>
void forward(const Flow<T>& flow, Workspace<T>& workspace);

/// log|det W_k| in nats, layer by layer (0 for those that have none); 2/3 D^3 flops per linear
/// layer. The layers that have such a part are numbered; this call does number first, first +
/// stride, ... and leaves 0 for the others, so that ranks share the work.
template <class T>
std::vector<double> log_abs_det_by_layer(const Flow<T>& flow, std::size_t first = 0,
                                         std::size_t stride = 1);

/// sum_k log|det W_k| in nats.
template <class T>
double sample_independent_log_abs_det(const Flow<T>& flow);

/// -log p_pixel / (D ln 2).
double bits_per_dim(double log_likelihood_pixel_nats, Index dimension);

}  // namespace relgrad
