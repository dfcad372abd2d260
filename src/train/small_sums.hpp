#pragma once
/// One step's sums of every parameter that is not a weight matrix: biases, splines. One message
/// carries them all.
#include <map>
#include <vector>

#include "relgrad/exchange/exchange.hpp"
#include "relgrad/model/flow.hpp"

namespace relgrad {

template <class T>
class SmallSums final : public SmallGradients<T> {
 public:
  /// @param exact_terms  the most samples a batch has, all ranks together, if sums must come out
  /// the
  ///                     same however they are split over ranks; 0: plain sums
  SmallSums(const Flow<T>& flow, std::int64_t exact_terms);

  void clear();
  std::span<T> sum(ParameterId id) override;
  std::optional<ExactSums> exact(ParameterId id, std::size_t size) override;
  /// Collective: afterwards sum(id) is that of all ranks.
  void exchange(Exchange<T>& exchange);

 private:
  // A sample's term of a derivative beyond this is held there; so large a one says that training
  // has lost its way, not where to go.
  static constexpr int limit_bits = 14;  // layers may add up two terms a sample

  const Flow<T>* flow_;
  std::vector<T> plain_;
  std::vector<std::size_t> offset_;  // of each parameter in plain_
  bool is_exact_;
  ExactGrid grid_;
  std::vector<double> exact_;
  struct Place {
    std::size_t offset, size;
  };
  std::map<ParameterId, Place> places_;  // in exact_, in the order of the first backward pass
};

}  // namespace relgrad
