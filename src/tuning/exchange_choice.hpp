#pragma once
/// Which exchange a run takes, and what `auto` decides it by.
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "exchange/cost_model.hpp"
#include "model/flow_work.hpp"
#include "options/options.hpp"
#include "relgrad/linalg/products.hpp"
#include "relgrad/mpi/communicator.hpp"

namespace relgrad {

/// The step of a run whose flow has `work`, for the cost model.
StepShape shape_of(const TrainOptions& options, const FlowWork& work, int ranks);

/// Bytes that a rank of this machine may still take: what is available, divided by its ranks; the
/// least of all machines. Collective.
double memory_a_rank(const mpi::Communicator& comm);

struct SharingDecision {
  ExchangeChoice choice;
  std::vector<StepCost> costs;  // as SecondLook takes them
};

/// Collective; the same choice on every rank. What --exchange names; for `auto` dense where the
/// flow has no full matrices; on several ranks with a D that makes it worth some tenths of a
/// second, what cheapest() takes of the cost model with rates measured now, among those that fit
/// into memory and that the other options allow (said to the log with its reason); else by the
/// formula of choose_exchange, which --deterministic always takes. @throws UsageError.
/// @param kept  to_json of an earlier choice of `auto` on as many ranks: taken if the other options
///              still allow it, so that a resumed run computes the same bits; null: measure
template <class T>
SharingDecision choose_sharing(const TrainOptions& options, const FlowWork& work,
                               const mpi::Communicator& comm, const Products& products,
                               const nlohmann::json& kept = nullptr);

nlohmann::json to_json(const ExchangeChoice& choice);

}  // namespace relgrad
