#pragma once
/// How the ranks of a run share its model and its gradients: what --exchange and --row-groups
/// mean.
#include <memory>

#include "options/options.hpp"
#include "relgrad/exchange/row_group.hpp"
#include "tuning/exchange_choice.hpp"

namespace relgrad {

template <class T>
class Sharing {
 public:
  /// Collective. @throws UsageError on every rank. @param kept  as of choose_sharing
  Sharing(const TrainOptions& options, const FlowWork& work, const mpi::Communicator& comm,
          const Products& products, const nlohmann::json& kept = nullptr);
  /// The ranks that share every W with this one; null if W is whole here. Lives as long as this.
  MpiRowGroup<T>* row_group() const { return row_group_.get(); }
  std::unique_ptr<Exchange<T>> make_exchange() const;
  /// Collective. Another one, of those in costs(), for ranks that do not share weights.
  std::unique_ptr<Exchange<T>> make_exchange(const ExchangeChoice& choice) const;
  /// dense, sharded, factor or row; row with row_group() null is one rank's dense.
  const std::string& name() const { return decision_.choice.name; }
  const ExchangeChoice& choice() const { return decision_.choice; }
  /// Of the choice, and of what it may change to; empty where nothing was measured.
  const std::vector<StepCost>& costs() const { return decision_.costs; }

 private:
  const mpi::Communicator* comm_;
  const Products* products_;
  SharingDecision decision_;
  std::string exchange_;  // over the ranks that hold the same columns
  std::unique_ptr<MpiRowGroup<T>> row_group_;
};

}  // namespace relgrad
