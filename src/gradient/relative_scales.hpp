#pragma once
/// Scales of a linear layer's relative gradient for --optimizer natural: running means of y_j^2 and
/// delta_i^2 over samples, kept as the moments of the layer's bias.
#include <vector>

#include "relgrad/model/gradient_sink.hpp"
#include "relgrad/model/linear.hpp"

namespace relgrad {

/// The Fisher information of E in W' = (I + E) W is, by its diagonal and as if Delta and Y were
/// independent (the Kronecker factors of Martens and Grosse 2015, arXiv 1503.05671),
///   F_ij = E[delta_i^2] E[y_j^2],
/// so that the natural gradient is R E C with R_i = 1 / E[delta_i^2], C_j = 1 / E[y_j^2].
template <class T>
class RelativeScaleMeans {
 public:
  /// The layer's bias has two moments when begin() is called.
  RelativeScaleMeans(LinearLayer<T>& layer, double epsilon);

  /// Scales from the means of the steps before; 0 where there are none: the first step only
  /// measures.
  void begin();
  const T* rows() const { return rows_.data(); }        // R, D numbers
  const T* columns() const { return columns_.data(); }  // C
  const T* product() const { return product_.data(); }  // R C
  /// Adds sums over samples of squares of the rows of Y and of Delta, this rank's coordinates,
  /// before they are scaled.
  void add_squares(const ConstMatrixMap<T>& delta, const ConstMatrixMap<T>& outputs,
                   GradientSink<T>& sink) const;
  /// Takes in the step's squares.
  void finish(const StepSums<T>& sums);

 private:
  // Mean over the last hundred steps or so: W moves little meanwhile.
  static constexpr double decay = 0.99;

  LinearLayer<T>* layer_;
  double epsilon_;
  std::vector<T> rows_, columns_, product_;
};

}  // namespace relgrad
