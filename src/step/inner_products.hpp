#pragma once
/// Y^T Delta of every linear layer of one step: what the change of log|det W| is computed from.
#include <optional>
#include <vector>

#include "relgrad/exchange/exchange.hpp"

namespace relgrad {

/// Used by an update that follows sgd: W' = growth W + step Delta Y^T W.
template <class T>
class InnerProducts {
 public:
  /// @param wanted  false: every call does nothing
  explicit InnerProducts(bool wanted) : wanted_(wanted) {}
  void begin();
  /// The factors of the next outer product; they must stay as they are until take().
  void announce(const ConstMatrixMap<T>& delta, const ConstMatrixMap<T>& outputs);
  /// The same where growth is diag(growth): it is divided out of Y^T here,
  ///   W' = diag(growth) (I + step diag(growth)^{-1} Delta Y^T) W.
  void announce(const ConstMatrixMap<T>& delta, const ConstMatrixMap<T>& outputs,
                const Vector<double>& growth);
  /// Collective, after the exchange's outer_product of the announced factors.
  void take(Exchange<T>& exchange);
  /// Change of sum_k log|det W_k| in nats, `growth` that of layers announced without their own; not
  /// a number if a layer's factors were not announced.
  double log_abs_det_change(double growth, double step) const;

 private:
  struct Layer {
    Index dimension;
    Matrix<double> inner;              // N x N
    std::optional<double> log_growth;  // log|det diag(growth)| of a layer with its own
  };
  bool wanted_;
  bool is_announced_ = false;
  bool is_complete_ = true;
  ConstMatrixMap<T> delta_{nullptr, 0, 0};
  ConstMatrixMap<T> outputs_{nullptr, 0, 0};
  std::optional<double> log_growth_;
  Matrix<T> divided_;          // outputs by growth
  std::size_t count_ = 0;      // layers of this step
  std::vector<Layer> layers_;  // kept from step to step, for their memory
};

}  // namespace relgrad
