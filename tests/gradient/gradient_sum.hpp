#pragma once
/// The gradients of one batch, for tests of the estimators.
#include <algorithm>

#include "relgrad/gradient/backward.hpp"
#include "relgrad/gradient/buffer.hpp"
#include "relgrad/likelihood/log_likelihood.hpp"

namespace relgrad::test {

/// Of the summed log-likelihood of x (D x B), without what belongs to every sample alike
/// (GradientBuffer::add_per_sample_terms).
inline GradientBuffer<double> gradient_sum(Flow<double>& flow, const Matrix<double>& x,
                                           const GradientOptions& options) {
  static const Products products(ProductBackend::openblas);
  Workspace<double> workspace(flow, x.cols());
  workspace.input() = x;
  std::ranges::fill(workspace.log_likelihood(), 0.0);
  forward(flow, workspace);
  GradientBuffer<double> gradient(flow.parameters(), products);
  gradient.clear();
  FlowGradient<double>(flow, options).backward(workspace, gradient);
  return gradient;
}

}  // namespace relgrad::test
