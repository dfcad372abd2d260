#pragma once
/// A net with parameters drawn at random (its last convolution too) and flat memory for both.
#include <numeric>
#include <string>
#include <vector>

#include "coupling/net.hpp"
#include "support/central_differences.hpp"

namespace relgrad::test {

template <class T>
std::vector<T> normal_numbers(std::size_t count, std::uint64_t seed, double scale = 1.0) {
  const Matrix<double> draws = normal_matrix<double>(static_cast<Index>(count), 1, seed, scale);
  std::vector<T> numbers(count);
  std::transform(draws.data(), draws.data() + count, numbers.begin(),
                 [](double value) { return static_cast<T>(value); });
  return numbers;
}

inline std::size_t net_parameter_count(const NetShape& shape) {
  std::size_t count = 0;
  for (const NetTensorInfo& tensor : net_tensors(shape)) count += tensor.size();
  return count;
}

/// Views of flat memory, parameter after parameter.
template <class T, class Flat>
NetSpans<T> net_spans(const NetShape& shape, Flat& flat) {
  NetSpans<T> spans;
  std::size_t begin = 0;
  const auto tensors = net_tensors(shape);
  for (std::size_t i = 0; i < net_tensor_count; ++i) {
    spans[i] = std::span<T>(flat).subspan(begin, tensors[i].size());
    begin += tensors[i].size();
  }
  return spans;
}

/// Normal draws of size 1 / sqrt(inputs): outputs of every layer are of size 1.
template <class T>
std::vector<T> random_net(const NetShape& shape, std::uint64_t seed) {
  std::vector<T> flat = normal_numbers<T>(net_parameter_count(shape), seed, 0.3);
  const NetSpans<T> spans = net_spans<T>(shape, flat);
  const auto shrink = [&](NetTensor tensor, Index inputs) {
    for (T& value : spans[tensor]) value *= T(3.0 / std::sqrt(static_cast<double>(inputs)));
  };
  shrink(first_weight, 9 * shape.channels_in);
  shrink(middle_weight, shape.hidden);
  shrink(last_weight, 9 * shape.hidden);
  return flat;
}

}  // namespace relgrad::test
