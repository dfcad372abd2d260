#include "exchange/cost_model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace relgrad {

namespace {

constexpr double message_bytes = 4 << 20;  // of dense and sharded (exchange.cpp)

double hops(int ranks) { return std::ceil(std::log2(static_cast<double>(ranks))); }

/// (P - 1)/P of something.
double without_own(int ranks, double bytes) {
  return bytes * static_cast<double>(ranks - 1) / static_cast<double>(ranks);
}

/// Adds up the exchange of one step.
class ExchangeSum {
 public:
  explicit ExchangeSum(StepCost& cost) : cost_(&cost) {}
  /// What follows is among the ranks that `link` is of.
  ExchangeSum& among(const LinkRates& link) {
    link_ = &link;
    return *this;
  }

  void allreduce(int ranks, double messages, double bytes) {
    if (ranks == 1 || bytes == 0) return;
    cost_->exchange += messages * allreduce_seconds(link_->allreduce, ranks, bytes / messages);
    cost_->bytes_sent += bytes;
    cost_->meetings += messages;
  }
  void reduce_scatter(int ranks, double messages, double bytes) {
    if (ranks == 1) return;
    cost_->exchange += messages * one_way_seconds(link_->reduce_scatter, ranks, bytes / messages);
    cost_->bytes_sent += without_own(ranks, bytes);
    cost_->meetings += messages;
  }
  /// @param sent  bytes that this rank hands in, counted once
  void allgather(int ranks, double bytes, double sent) {
    if (ranks == 1) return;
    cost_->exchange += one_way_seconds(link_->allgather, ranks, bytes);
    cost_->bytes_sent += sent;
    ++cost_->meetings;
  }
  void alltoall(int ranks, double bytes, double sent) {
    if (ranks == 1) return;
    cost_->exchange += one_way_seconds(link_->alltoall, ranks, bytes);
    cost_->bytes_sent += sent;
    ++cost_->meetings;
  }

 private:
  const LinkRates* link_ = nullptr;
  StepCost* cost_;
};

/// The gradient of rows x cols weights, summed over `ranks`; n samples each.
void sum_of_columns(const std::string& scheme, int ranks, double rows, double cols, double n,
                    double bytes, ExchangeSum& sum) {
  const double weights = rows * cols * bytes;
  const double messages = std::ceil(weights / message_bytes);
  if (scheme == "dense") {
    sum.allreduce(ranks, messages, weights);
  } else if (scheme == "sharded") {
    sum.reduce_scatter(ranks, messages, weights);
    sum.allgather(ranks, weights, weights / ranks);
  } else if (scheme == "factor") {
    sum.allgather(ranks, 0, 0);  // how many samples each rank has
    sum.allgather(ranks, rows * n * ranks * bytes, rows * n * bytes);
    sum.alltoall(ranks, cols * n * bytes, cols * n * bytes);
    sum.allgather(ranks, weights, weights / ranks);
  }
}

}  // namespace

double allreduce_seconds(const CollectiveRate& rate, int ranks, double bytes) {
  return 2 * hops(ranks) * rate.latency + 2 * without_own(ranks, bytes) / rate.bandwidth;
}

double one_way_seconds(const CollectiveRate& rate, int ranks, double bytes) {
  return hops(ranks) * rate.latency + without_own(ranks, bytes) / rate.bandwidth;
}

const LinkRates& GridLinks::among_sharing(int row_groups) const {
  const auto found = sharing.find(row_groups);
  return found == sharing.end() ? all : found->second;
}
const LinkRates& GridLinks::among_same_columns(int row_groups) const {
  const auto found = same_columns.find(row_groups);
  return found == same_columns.end() ? all : found->second;
}

std::string ExchangeChoice::text() const {
  return name == "row" ? fmt::format("row ({} share every W)", row_groups) : name;
}

std::string exchange_of_columns(Index dimension, int row_groups, int data_groups,
                                std::int64_t batch_size) {
  if (data_groups == 1) return "dense";
  const double rows = static_cast<double>(dimension);
  const double cols = rows / row_groups;
  const double samples = static_cast<double>(batch_size);
  return samples * (rows + cols / data_groups) < rows * cols ? "factor" : "sharded";
}

std::vector<ExchangeChoice> all_exchanges(int ranks) {
  if (ranks == 1) return {{"dense", 1}};
  std::vector<ExchangeChoice> all = {{"dense", 1}, {"sharded", 1}, {"factor", 1}, {"gathered", 1}};
  for (int r = ranks; r > 1; --r) {
    if (ranks % r == 0) all.push_back({"row", r});
  }
  return all;
}

std::vector<ExchangeChoice> exchanges_for(const StepShape& shape) {
  if (shape.layers == 0) return {{"dense", 1}};
  std::vector<ExchangeChoice> all = all_exchanges(shape.ranks);
  if (!shape.may_go_by_row) {
    std::erase_if(all, [](const ExchangeChoice& choice) { return choice.name == "row"; });
  }
  return all;
}

StepCost step_cost(const ExchangeChoice& choice, const StepShape& shape, const ComputeRates& rates,
                   const GridLinks& links) {
  StepCost cost;
  cost.choice = choice;
  const int r = choice.row_groups;
  const int groups = shape.ranks / r;
  const double d = static_cast<double>(shape.dimension);
  const double cols = d / r;
  const double k = static_cast<double>(shape.layers);
  const double b = shape.element_bytes;
  const double n = static_cast<double>(shape.batch_size) / shape.ranks;  // samples a rank
  const double group_n = n * r;
  const std::string scheme = choice.name == "row"
                                 ? exchange_of_columns(shape.dimension, r, groups, shape.batch_size)
                                 : choice.name;
  // Factor and sharded: 1/P of the columns are updated here, the rest elsewhere.
  const bool updates_all = scheme == "dense" || scheme == "gathered";
  const double updated = updates_all ? cols : cols / groups;

  // 8 n D^2 flops a full layer, 6 the first; forward and backward pass over W, the outer product
  // over what it makes. Other layers: backward twice what forward is.
  const double made = scheme == "factor" ? updated : cols;
  const double of_matrices = k > 0 ? (8 * k - 2) * d * d : 0;
  // Gathered: every rank forms the outer products of all samples.
  const double formed_twice =
      scheme == "gathered" ? 2 * k * d * d * (static_cast<double>(shape.batch_size) - n) : 0;
  cost.products = (n * (of_matrices + 3 * shape.other_flops) + formed_twice) / rates.flops +
                  k * b * d * (2 * cols + made) / rates.weight_bytes;
  cost.elements = n * shape.elements * rates.element_seconds;
  const auto whole = static_cast<double>(shape.whole_parameters);
  cost.optimizer = 2 * b *
                   (k * d * updated * (1 + shape.moments) + whole * (1 + shape.moments_of_whole)) /
                   rates.optimizer_bytes;

  ExchangeSum sum(cost);
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    sum_of_columns(scheme, groups, d, cols, group_n, b, sum.among(links.among_same_columns(r)));
    sum.among(links.among_sharing(r));
    sum.reduce_scatter(r, 1, d * group_n * b);                                // Y
    sum.allgather(r, 2 * d * group_n * b, cols * 2 * group_n * b * (r - 1));  // Delta and Y
  }
  if (r > 1) {
    sum.among(links.among_sharing(r));
    sum.allgather(r, 0, 0);                                 // how many samples each rank has
    sum.alltoall(r, d * n * b, without_own(r, d * n * b));  // the samples, by coordinates
    sum.allreduce(r, 1, group_n * sizeof(double));          // log-likelihoods
    // each message is packed or unpacked: read and written once
    cost.exchange += (k * 3 * d * group_n + d * n) * 2 * b / rates.optimizer_bytes;
  }
  sum.among(links.all);
  if (scheme == "gathered") {  // one message: the factors of all layers, and the sums
    const double mine = (2 * k * d * n + whole) * b;
    sum.allgather(shape.ranks, mine * shape.ranks, mine);
  } else {
    sum.allreduce(shape.ranks, 1, whole * b);
  }
  if (shape.ranks > 1) {  // the step's decisions, eight numbers, which no Exchange carries
    cost.exchange += allreduce_seconds(links.all.allreduce, shape.ranks, 64);
    ++cost.meetings;
  }

  const double activations = shape.workspace * group_n / r;
  double buffers = 0;
  if (scheme == "factor") buffers = (d + cols / groups) * group_n * groups + cols * group_n;
  if (scheme == "gathered") {  // held here, arrived, and side by side
    buffers = (2 * k * d * n + whole) * (1 + shape.ranks) + 2 * k * d * n * shape.ranks;
  }
  if (groups > 1 && k > 0 && (scheme == "dense" || scheme == "sharded"))
    buffers = 2 * message_bytes / b;
  if (r > 1) buffers += 4 * d * group_n + d * n;  // [Delta | Y] whole and in pieces, what is spread
  const double log_abs_det = k > 0 ? d * cols : 0;  // the factors of one layer
  cost.memory = b * (k * d * cols * (1 + shape.moments) + activations + buffers + log_abs_det +
                     whole * (2 + shape.moments_of_whole));
  return cost;
}

const StepCost& cheapest(const std::vector<StepCost>& costs, double memory_limit) {
  constexpr double error = 1.1;  // of a prediction
  const auto fits = [&](const StepCost& cost) {
    return memory_limit <= 0 || cost.memory <= memory_limit;
  };
  const StepCost& fastest = *std::ranges::min_element(costs, [&](const auto& a, const auto& c) {
    if (fits(a) != fits(c)) return fits(a);
    return fits(a) ? a.seconds() < c.seconds() : a.memory < c.memory;
  });
  const StepCost* best = &fastest;
  for (const StepCost& cost : costs) {
    if (!fits(cost) || cost.choice.name == "row") continue;
    if (cost.seconds() > error * fastest.seconds()) continue;
    if (std::pair(cost.meetings, cost.seconds()) < std::pair(best->meetings, best->seconds())) {
      best = &cost;
    }
  }
  return *best;
}

}  // namespace relgrad
