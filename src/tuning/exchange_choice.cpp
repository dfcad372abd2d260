#include "tuning/exchange_choice.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "core/available_memory.hpp"
#include "exchange/link_rates.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/mpi/agreement.hpp"
#include "translate/translate.hpp"
#include "tuning/compute_rates.hpp"
#include "tuning/determinism.hpp"

namespace relgrad {

namespace {

// Below it a step takes about as long as its messages, whatever they are.
constexpr Index smallest_measured_dimension = 512;

bool allows(const TrainOptions& options, const ExchangeChoice& choice) {
  if (choice.name == "row") {
    return options.gradient == "relative" && options.init == "identity" &&
           (options.row_groups == 0 || options.row_groups == choice.row_groups);
  }
  return options.clip_norm == 0 || choice.name == "dense";  // a norm is one of whole gradients
}

std::string reason_of(const StepCost& chosen, const std::vector<StepCost>& costs,
                      const ComputeRates& rates, const LinkRates& link, double memory) {
  std::string others;
  bool is_fastest = true;
  for (const StepCost& cost : costs) {
    if (&cost == &chosen) continue;
    is_fastest = is_fastest && (cost.memory > memory || chosen.seconds() <= cost.seconds());
    others += fmt::format("{}{} {:.1f} ms{}", others.empty() ? "" : ", ", cost.choice.text(),
                          1e3 * cost.seconds(), cost.memory > memory ? " (no memory for it)" : "");
  }
  return fmt::format(
      "exchange auto takes {}{}: {:.1f} ms per step predicted, {:.1f} of them exchange{}; "
      "measured: "
      "{:.0f} GFLOP/s per rank, allreduce {:.2f} and allgather {:.2f} GB/s",
      chosen.choice.text(),
      is_fastest ? "" : " (as fast as the fastest within 10 %, with fewer meetings of ranks)",
      1e3 * chosen.seconds(), 1e3 * chosen.exchange, others.empty() ? "" : " (" + others + ")",
      rates.flops * 1e-9, link.allreduce.bandwidth * 1e-9, link.allgather.bandwidth * 1e-9);
}

/// `chosen`, and those that a run can change to from it: both hold every W whole.
std::vector<StepCost> exchangeable(const StepCost& chosen, const std::vector<StepCost>& costs,
                                   double memory) {
  std::vector<StepCost> found = {chosen};
  for (const StepCost& cost : costs) {
    const bool is_whole = chosen.choice.name != "row" && cost.choice.name != "row";
    if (&cost != &chosen && is_whole && cost.memory <= memory) found.push_back(cost);
  }
  return found;
}

}  // namespace

StepShape shape_of(const TrainOptions& options, const FlowWork& work, int ranks) {
  const Optimizer<float> optimizer(optimizer_options_of(options));
  StepShape shape;
  shape.dimension = work.matrix_size;
  shape.layers = work.matrices;
  shape.moments = optimizer.weights_have_moments() ? optimizer.moment_count() : 0;
  shape.whole_parameters = work.whole_parameters;
  shape.moments_of_whole = optimizer.moment_count();
  shape.other_flops = work.other_flops;
  shape.elements = work.elements;
  shape.workspace = work.workspace;
  shape.may_go_by_row = work.splits_by_coordinates;
  shape.batch_size = options.batch_size;
  shape.ranks = ranks;
  shape.element_bytes = options.precision == "float64" ? 8 : 4;
  return shape;
}

double memory_a_rank(const mpi::Communicator& comm) {
  const std::vector<std::string> hosts = comm.allgather_strings(mpi::host_name());
  const auto here = static_cast<double>(std::ranges::count(hosts, mpi::host_name()));
  double least = -static_cast<double>(available_memory()) / here;
  comm.allreduce_max(std::span(&least, 1));
  return -least;
}

template <class T>
SharingDecision choose_sharing(const TrainOptions& options, const FlowWork& work,
                               const mpi::Communicator& comm, const Products& products,
                               const nlohmann::json& kept) {
  const int ranks = comm.world_size();
  const std::string name = exchange_of(options, work.matrix_size, ranks);
  if (ranks > 1 && options.clip_norm > 0 && options.exchange != "auto" &&
      options.exchange != name) {
    log_warning(fmt::format(
        "--exchange: {} gives no rank the whole gradient, whose norm --clip-norm needs; {} is used",
        options.exchange, name));
  }
  if (name == "row") {
    return {{name, options.row_groups == 0 ? ranks : static_cast<int>(options.row_groups)}, {}};
  }
  if (options.exchange != "auto" || options.deterministic || ranks == 1) return {{name, 1}, {}};
  const StepShape shape = shape_of(options, work, ranks);
  const std::vector<ExchangeChoice> choices = exchanges_for(shape);
  if (choices.size() == 1) return {choices.front(), {}};
  if (work.matrix_size < smallest_measured_dimension) return {{name, 1}, {}};
  for (const ExchangeChoice& choice : choices) {
    if (to_json(choice) == kept && allows(options, choice)) return {choice, {}};
  }
  const GridLinks links = measure_links(comm, shape);
  const ComputeRates rates =
      measure_compute<T>(comm, products, shape, work.elementwise, optimizer_options_of(options),
                         static_cast<int>(options.threads));
  std::vector<StepCost> costs;
  for (const ExchangeChoice& choice : choices) {
    if (allows(options, choice)) costs.push_back(step_cost(choice, shape, rates, links));
  }
  const double memory = memory_a_rank(comm);
  const StepCost& chosen = cheapest(costs, memory);
  log_info(reason_of(chosen, costs, rates, links.all, memory));
  return {chosen.choice, exchangeable(chosen, costs, memory)};
}

nlohmann::json to_json(const ExchangeChoice& choice) {
  return {{"name", choice.name}, {"row_groups", choice.row_groups}};
}

template SharingDecision choose_sharing<float>(const TrainOptions&, const FlowWork&,
                                               const mpi::Communicator&, const Products&,
                                               const nlohmann::json&);
template SharingDecision choose_sharing<double>(const TrainOptions&, const FlowWork&,
                                                const mpi::Communicator&, const Products&,
                                                const nlohmann::json&);

}  // namespace relgrad
