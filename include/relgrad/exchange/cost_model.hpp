#pragma once
/// What a training step costs under each exchange, by formula (ARCHITECTURE section 3): seconds,
/// bytes sent and memory of a rank. The rates come from measuring or from what somebody tells.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "relgrad/core/types.hpp"

namespace relgrad {

/// What the ranks do together in a step.
struct StepShape {
  Index dimension = 784;
  std::int64_t layers = 2;        // linear ones, each with an element-wise layer after it
  std::int64_t batch_size = 100;  // global
  int ranks = 1;
  int moments = 2;                    // buffers that the optimizer keeps of each parameter
  std::int64_t small_parameters = 0;  // biases and splines, which every rank has whole
  int element_bytes = 4;
};

/// Of one rank while all of them work.
struct ComputeRates {
  double flops = 50e9;            // a second, in matrix products of many samples
  double weight_bytes = 20e9;     // a second: a weight that a product passes over, read once
  double optimizer_bytes = 15e9;  // a second: weights and moments, read and written
  double element_seconds = 4e-9;  // element-wise layers, forward and back: a coordinate of a sample
  double share = 1;               // of the cores it asks for, what a rank gets
};

/// One collective: seconds = latency * hops + bytes / bandwidth, bytes those that a rank must send.
struct CollectiveRate {
  double latency = 20e-6;     // seconds a hop
  double bandwidth = 1.25e9;  // bytes a second
};

/// Among ranks that call a collective together, while others like them do as well.
struct LinkRates {
  CollectiveRate allreduce, reduce_scatter, allgather, alltoall;
};

/// Of a grid of P ranks, for every R that divides P: among the R ranks that share every W, and
/// among the P/R that hold the same columns. Where a group was not measured it is as all ranks are.
struct GridLinks {
  LinkRates all;
  std::map<int, LinkRates> sharing;
  std::map<int, LinkRates> same_columns;
  const LinkRates& among_sharing(int row_groups) const;
  const LinkRates& among_same_columns(int row_groups) const;
};

/// Seconds of one collective over P ranks, for which `bytes` is the size of the whole buffer:
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
  // seconds of a step
  double products = 0;
  double elements = 0;
  double optimizer = 0;
  double exchange = 0;
  double bytes_sent = 0;  // a rank and step: what it hands to collectives (ExchangeCost)
  double memory = 0;      // bytes of a rank: parameters, moments, activations, buffers, log|det|
  double seconds() const { return products + elements + optimizer + exchange; }
};

StepCost step_cost(const ExchangeChoice& choice, const StepShape& shape, const ComputeRates& rates,
                   const GridLinks& links);

/// How the gradient of D x D/R columns is summed over `data_groups` ranks that hold the same ones:
/// by factors where those are smaller than what they multiply to.
std::string exchange_of_columns(Index dimension, int row_groups, int data_groups,
                                std::int64_t batch_size);

/// dense, sharded, factor, and row for every R > 1 that divides the ranks; one rank: dense alone.
std::vector<ExchangeChoice> all_exchanges(int ranks);

/// The fastest whose memory is within the limit (bytes; 0: none); the smallest if none is.
const StepCost& cheapest(const std::vector<StepCost>& costs, double memory_limit);

}  // namespace relgrad
