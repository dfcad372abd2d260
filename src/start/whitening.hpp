#pragma once
/// A start that is the best Gaussian: the first layer, linear or spectral, decorrelates the
/// training data, as they come out of the transform. With a marginal transform that is a Gaussian
/// copula, before the first step.
#include "relgrad/data/dataset.hpp"
#include "relgrad/model/flow.hpp"
#include "relgrad/mpi/communicator.hpp"
#include "relgrad/transform/transform.hpp"

namespace relgrad {

/// z = S^-1 (x - mean), S the standard deviations; C the correlations, shrunk: C_t = (1 - t) C + t
/// I. The layer is the whitening nearest to the identity (Kessy, Lewin, Strimmer 2018, ZCA-cor):
///   y = C_t^{-1/2} S^-1 (x - mean)
/// t maximises the likelihood of the held-out tenth of the samples.
class Whitening {
 public:
  /// @param x  D x n samples, n >= 2; every tenth is held out if n >= 20.
  explicit Whitening(Matrix<double> x);
  double shrinkage() const { return shrinkage_; }
  /// Columns [begin, end) of W, D x (end - begin). Cost: 2 D r (end - begin), r = min(n, D).
  Matrix<double> weight_columns(Index begin, Index end) const;
  /// -W mean.
  Vector<double> bias() const;

 private:
  void choose_shrinkage(const Matrix<double>& held_out);
  struct Root {
    Vector<double> gains;  // r
    double outside;
  };
  Root root() const;

  Vector<double> mean_;
  Vector<double> deviation_;
  Vector<double> values_;   // of C: r of them that are not 0
  Matrix<double> vectors_;  // D x r
  double shrinkage_ = 0;
};

/// Collective. A linear layer: root fits, every rank gets its columns. The samples are at most 2^26
/// values, evenly spaced rows. Cost on root: D^2 n / 2 and 9 min(n, D)^3 flops.
/// A spectral layer: every rank sums over its part of all training samples.
/// @param deterministic  every rank sums over all of them: the same bits on any number of ranks
/// @throws UsageError if the first layer is of another kind
template <class T>
void whiten_first_layer(Flow<T>& flow, const Transform<T>& transform, const SplitReader& train,
                        std::uint64_t seed, bool deterministic, const mpi::Communicator& comm);

}  // namespace relgrad
