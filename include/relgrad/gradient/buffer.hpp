#pragma once
/// A gradient held whole, in the layout of the parameter store: for tests, clipping by global norm
/// and small models. The fused update (src/step) never forms it.
#include <vector>

#include "relgrad/linalg/products.hpp"
#include "relgrad/model/gradient_sink.hpp"

namespace relgrad {

template <class T>
class GradientBuffer final : public GradientSink<T> {
 public:
  GradientBuffer(const ParameterStore<T>& parameters, const Products& products);

  /// All sums zero, no terms. Before each backward pass.
  void clear();
  std::span<T> sum(ParameterId id) override;
  void give(std::span<const ParameterGradient<T>> together) override;
  using GradientSink<T>::give;
  std::span<T> statistics(ParameterId id, std::size_t size) override;
  /// What every sample contributes alike to parameter `id`.
  void set_every_sample(ParameterId id, const PerSampleTerm<T>& term);

  /// The sums alone: what ranks add up.
  std::span<T> flat() { return flat_; }
  std::span<const T> flat() const { return flat_; }
  /// sums += samples * per-sample terms, once, after ranks' sums are added.
  void add_per_sample_terms(double samples);
  ConstMatrixMap<T> matrix(ParameterId id) const;

 private:
  const ParameterStore<T>* parameters_;
  const Products* products_;
  std::vector<T> flat_;
  std::vector<T> value_factor_;             // per parameter
  std::vector<std::vector<T>> matrix_;      // per parameter, times its factor; empty: none
  std::vector<std::vector<T>> row_factor_;  // likewise
  std::vector<std::vector<T>> statistics_;
};

}  // namespace relgrad
