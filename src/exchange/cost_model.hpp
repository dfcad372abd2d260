#pragma once
/// Predicted cost of a training step under each exchange (ARCHITECTURE section 3): seconds, bytes
/// sent and memory per rank. The rates are measured, or given by the user.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "relgrad/core/types.hpp"

namespace relgrad {

/// The work that the ranks share in a step.
struct StepShape {
  Index dimension = 784;              // D of the full matrices
  std::int64_t layers = 2;            // how many there are, each of D x D weights; 0: none
  int moments = 2;                    // buffers that the optimizer keeps for each of these weights
  std::int64_t whole_parameters = 0;  // all others, which every rank has whole
  int moments_of_whole = 2;           // buffers for each of them
  double other_flops = 0;     // per sample, forward pass, of layers neither full nor element-wise
  double elements = 0;        // numbers per sample that pass element-wise layers
  double workspace = 0;       // numbers per sample of a pass
  bool may_go_by_row = true;  // ranks can share every layer by coordinates
  std::int64_t batch_size = 100;  // global
  int ranks = 1;
  int element_bytes = 4;
};

/// Speed of one rank while all ranks work.
struct ComputeRates {
  double flops = 50e9;            // per second, in matrix products of many samples
  double weight_bytes = 20e9;     // per second: weights that a product reads once
  double optimizer_bytes = 15e9;  // per second: weights and moments, read and written
  double element_seconds = 4e-9;  // per coordinate and sample: element-wise layers, both ways
  double share = 1;               // fraction of the requested cores that a rank gets
};

/// A collective takes latency * hops + bytes / bandwidth seconds for the bytes that a rank sends.
struct CollectiveRate {
  double latency = 20e-6;     // seconds per hop
  double bandwidth = 1.25e9;  // bytes per second
};

/// For ranks that call a collective together, while other groups of ranks do the same.
struct LinkRates {
  CollectiveRate allreduce, reduce_scatter, allgather, alltoall;
};

/// For a grid of P ranks and every R that divides P: rates among the R ranks that share every W,
/// and among the P/R that hold the same columns. A group that was not measured has those of `all`.
struct GridLinks {
  LinkRates all;
  std::map<int, LinkRates> sharing;
  std::map<int, LinkRates> same_columns;
  const LinkRates& among_sharing(int row_groups) const;
  const LinkRates& among_same_columns(int row_groups) const;
};

/// Seconds of one collective over P ranks; `bytes` is the size of the whole buffer:
///   allreduce       2 ceil(log2 P) hops, 2 (P - 1)/P bytes
///   reduce_scatter, allgather, alltoall    ceil(log2 P) hops, (P - 1)/P bytes
double allreduce_seconds(const CollectiveRate& rate, int ranks, double bytes);
double one_way_seconds(const CollectiveRate& rate, int ranks, double bytes);

/// A way to share a step.
struct ExchangeChoice {
  std::string name;          // dense, sharded, factor or row
  int row_groups = 1;        // with row: R, ranks that share every W
  std::string text() const;  // "factor", "row (4 share every W)"
};

struct StepCost {
  ExchangeChoice choice;
  // seconds per step
  double products = 0;
  double elements = 0;
  double optimizer = 0;
  double exchange = 0;
  double bytes_sent = 0;  // per rank and step: bytes given to collectives (ExchangeCost)
  double meetings = 0;    // collectives per step
  double memory = 0;      // bytes per rank: parameters, moments, activations, buffers, log|det|
  double seconds() const { return products + elements + optimizer + exchange; }
};

StepCost step_cost(const ExchangeChoice& choice, const StepShape& shape, const ComputeRates& rates,
                   const GridLinks& links);

/// How the gradient of D x D/R columns is summed over `data_groups` ranks that hold the same ones:
/// by factors if they are smaller than their product.
std::string exchange_of_columns(Index dimension, int row_groups, int data_groups,
                                std::int64_t batch_size);

/// dense, sharded, factor, and row for every R > 1 that divides the ranks; one rank: dense alone.
std::vector<ExchangeChoice> all_exchanges(int ranks);
/// Those among which a step of `shape` has a choice: dense alone where it has no full matrix, as
/// all parameters then travel in one sum; no row where a layer cannot be shared by coordinates.
std::vector<ExchangeChoice> exchanges_for(const StepShape& shape);

/// Within the memory limit (bytes; 0: no limit), of those that are as fast as the fastest up to the
/// error of a prediction (10 %), the one with the fewest meetings: each may cost more than was
/// measured, where other programs use the machine. Row, from which a run cannot change, only if it
/// is the fastest. The smallest if none is within the limit.
const StepCost& cheapest(const std::vector<StepCost>& costs, double memory_limit);

}  // namespace relgrad
