#include "relgrad/likelihood/log_likelihood.hpp"

#include <numbers>
#include <numeric>

namespace relgrad {

template <class T>
void forward(const Flow<T>& flow, Workspace<T>& workspace) {
  for (std::size_t i = 0; i < flow.layer_count(); ++i) flow.layer(i).forward(workspace.pass(i));
  if (flow.row_group() != nullptr) flow.row_group()->sum(workspace.log_likelihood());
}

template <class T>
std::vector<double> log_abs_det_by_layer(const Flow<T>& flow, std::size_t first,
                                         std::size_t stride) {
  std::vector<double> parts(flow.layer_count(), 0.0);
  std::size_t number = 0;
  for (std::size_t i = 0; i < flow.layer_count(); ++i) {
    if (!flow.layer(i).has_sample_independent_part()) continue;
    if (number++ % stride == first) parts[i] = flow.layer(i).sample_independent_log_abs_det();
  }
  return parts;
}

template <class T>
double sample_independent_log_abs_det(const Flow<T>& flow) {
  const std::vector<double> parts = log_abs_det_by_layer(flow);
  return std::accumulate(parts.begin(), parts.end(), 0.0);
}

double bits_per_dim(double log_likelihood_pixel_nats, Index dimension) {
  return -log_likelihood_pixel_nats / (static_cast<double>(dimension) * std::numbers::ln2);
}

template void forward(const Flow<float>&, Workspace<float>&);
template void forward(const Flow<double>&, Workspace<double>&);
template std::vector<double> log_abs_det_by_layer(const Flow<float>&, std::size_t, std::size_t);
template std::vector<double> log_abs_det_by_layer(const Flow<double>&, std::size_t, std::size_t);
template double sample_independent_log_abs_det(const Flow<float>&);
template double sample_independent_log_abs_det(const Flow<double>&);

}  // namespace relgrad
