#pragma once
/// How the ranks of a run share its model and its gradients: what --exchange and --row-groups mean.
#include <memory>

#include "relgrad/exchange/row_group.hpp"
#include "relgrad/train/options.hpp"

namespace relgrad {

template <class T>
class Sharing {
 public:
  /// Collective. @throws UsageError on every rank.
  Sharing(const TrainOptions& options, Index dimension, const mpi::Communicator& comm,
          const Products& products);
  /// The ranks that share every W with this one; null if W is whole here. Lives as long as this.
  MpiRowGroup<T>* row_group() const { return row_group_.get(); }
  std::unique_ptr<Exchange<T>> make_exchange() const;
  /// dense, sharded, factor or row; row with row_group() null is one rank's dense.
  const std::string& name() const { return name_; }

 private:
  const mpi::Communicator* comm_;
  const Products* products_;
  std::unique_ptr<MpiRowGroup<T>> row_group_;
  std::string name_;
  std::string exchange_;  // over the ranks that hold the same columns
};

}  // namespace relgrad
