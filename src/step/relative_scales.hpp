#pragma once
/// Scales of the relative gradient for --optimizer natural: of each linear layer the running means
/// of y_j^2 and delta_i^2 over samples, kept as the moments of its bias.
#include <vector>

#include "relgrad/gradient/sink.hpp"
#include "step/small_sums.hpp"

namespace relgrad {

/// The Fisher information of E in W' = (I + E) W is, by its diagonal and as if Delta and Y were
/// independent (the Kronecker factors of Martens and Grosse 2015, arXiv 1503.05671),
///   F_ij = E[delta_i^2] E[y_j^2],
/// so that the natural gradient is R E C with R_i = 1 / E[delta_i^2], C_j = 1 / E[y_j^2].
template <class T>
class RelativeScaleMeans {
 public:
  /// Every parameter of group bias has two moments in `store`.
  RelativeScaleMeans(ParameterStore<T>& store, double epsilon);

  /// Scales from the means of the steps before; 0 where there are none: the first step only
  /// measures.
  void begin();
  RelativeScales<T> of(ParameterId bias) const;
  /// Takes in a step's squares, summed over all ranks. @param step  updates done before it
  void take(const SmallSums<T>& sums, std::int64_t step, double samples);

 private:
  // Mean over the last hundred steps or so: W moves little meanwhile.
  static constexpr double decay = 0.99;

  struct Scales {
    std::vector<T> rows, columns, product;
  };
  ParameterStore<T>* store_;
  double epsilon_;
  std::vector<Scales> scales_;  // by parameter; empty but for biases
};

}  // namespace relgrad
