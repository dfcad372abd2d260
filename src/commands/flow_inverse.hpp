#pragma once
/// The inverse of a flow for many batches: what depends on the parameters alone is factored once.
#include <functional>
#include <vector>

#include "relgrad/exchange/row_group.hpp"
#include "relgrad/model/flow.hpp"

namespace relgrad {

template <class T>
class FlowInverse {
 public:
  /// Collective. Exact inverses of full linear layers are LU factors in double precision, kept: 8
  /// D^2 bytes per layer. The ranks share that work, 2/3 D^3 flops per layer: each layer is
  /// factored by one rank, which sends the factors to the others. In a row group all of its ranks
  /// factor every layer together, and each keeps 1/R. Convolutions are factored by every rank;
  /// their factors are kept as far as 256 MiB reach, and made anew for each batch beyond that.
  /// @param flow   without further changes; must outlive it, as must `group`
  /// @param kind   learned: layers that learn an inverse use it
  /// @param group  that of the flow, or null
  /// @throws DivergedError on every rank, naming the layer that is singular.
  FlowInverse(Flow<T>& flow, InverseKind kind, const mpi::Communicator& comm,
              const MpiRowGroup<T>* group);

  /// x = f^{-1}(z), |own()| x B each; collective over a row group. Cost: 2 B D^2 per linear layer.
  void operator()(const ConstMatrixMap<T>& z, MatrixMap<T> x) const;

 private:
  /// input = inverse of the layer at output; empty: Layer::inverse.
  using Solver = std::function<void(const ConstMatrixMap<T>& output, MatrixMap<T> input)>;

  const Flow<T>* flow_;
  InverseKind kind_;
  std::vector<Solver> solvers_;  // layer by layer
};

}  // namespace relgrad
