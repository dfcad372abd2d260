#include "bench/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "bench/bench_exchange.hpp"
#include "bench/bench_fixture.hpp"
#include "exchange/link_rates.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/mpi/agreement.hpp"
#include "run/json_report.hpp"
#include "translate/translate.hpp"
#include "tuning/compute_rates.hpp"
#include "tuning/exchange_choice.hpp"

namespace relgrad {

namespace {

struct Rates {
  ComputeRates compute;
  GridLinks links;
};

/// A change of the setting and what it would give.
struct Advice {
  std::string change;
  double gain;  // samples a second, over those of now
};

struct Plan {
  std::string model;  // in words
  StepShape shape;
  Rates rates;
  bool compute_measured = false;
  bool link_measured = false;
  double one_rank_seconds = 0;
  double memory_limit = 0;  // bytes; 0: none
  std::vector<StepCost> costs;
  std::size_t chosen = 0;
  std::vector<Advice> advice;
  std::vector<ExchangeTime> measured;  // empty, or one for each of costs
};

BenchStepOptions bench_options(const PlanOptions& options) {
  BenchStepOptions bench;
  bench.dim = options.dim;
  bench.layers = options.layers;
  bench.model = options.model;
  bench.sample = options.sample;
  bench.batch_size = options.batch_size;
  bench.activation = options.activation;
  bench.optimizer = options.optimizer;
  bench.steps = options.steps;
  bench.warmup = 2;
  bench.threads = options.threads;
  bench.products = options.products;
  return bench;
}

TrainOptions train_options(const PlanOptions& options) {
  TrainOptions train = train_options(bench_options(options));
  train.precision = options.precision;
  return train;
}

ComputeRates scaled(ComputeRates rates, double factor) {
  rates.flops *= factor;
  rates.weight_bytes *= factor;
  rates.optimizer_bytes *= factor;
  rates.element_seconds /= factor;
  return rates;
}

ComputeRates told_rates(const PlanOptions& options, const LayerSpec& elementwise, int ranks) {
  ComputeRates rates;
  const double threads = static_cast<double>(options.threads);
  rates.flops = options.gflops * 1e9 * threads;
  rates.weight_bytes = options.memory_gbps * 1e9;
  rates.optimizer_bytes = options.memory_gbps * 1e9;
  // 4 ns a coordinate for the simple ones; a spline searches its bins
  rates.element_seconds = (elementwise.kind == "spline" ? 40e-9 : 4e-9) / threads;
  if (options.cores > 0) {
    rates.share = std::min(1.0, static_cast<double>(options.cores) / (threads * ranks));
  }
  return scaled(rates, rates.share);
}

double faster_of(const StepShape& shape, const Rates& rates, double memory_limit) {
  std::vector<StepCost> costs;
  for (const ExchangeChoice& choice : exchanges_for(shape)) {
    costs.push_back(step_cost(choice, shape, rates.compute, rates.links));
  }
  double seconds = cheapest(costs, memory_limit).seconds();
  for (const StepCost& cost : costs) {
    const bool fits = memory_limit <= 0 || cost.memory <= memory_limit;
    if (fits) seconds = std::min(seconds, cost.seconds());
  }
  return static_cast<double>(shape.batch_size) / seconds;
}

GridLinks twice_as_fast(GridLinks links) {
  const auto double_bandwidth = [](LinkRates& link) {
    for (CollectiveRate* rate :
         {&link.allreduce, &link.reduce_scatter, &link.allgather, &link.alltoall}) {
      rate->bandwidth *= 2;
    }
  };
  double_bandwidth(links.all);
  for (auto& [row_groups, link] : links.sharing) double_bandwidth(link);
  for (auto& [row_groups, link] : links.same_columns) double_bandwidth(link);
  return links;
}

std::vector<Advice> advice_on(const Plan& plan) {
  const double now = faster_of(plan.shape, plan.rates, plan.memory_limit);
  const auto gain = [&](const StepShape& shape, const Rates& rates) {
    return faster_of(shape, rates, plan.memory_limit) / now;
  };
  std::vector<Advice> all;
  StepShape shape = plan.shape;
  shape.batch_size *= 2;
  all.push_back({"twice the batch", gain(shape, plan.rates)});
  if (plan.rates.compute.share == 1) {
    all.push_back({"twice the threads per rank",
                   gain(plan.shape, {scaled(plan.rates.compute, 2), plan.rates.links})});
    shape = plan.shape;
    shape.ranks *= 2;
    all.push_back({"twice the ranks", gain(shape, plan.rates)});
  }
  if (plan.shape.ranks > 1) {
    all.push_back({"a link twice as fast",
                   gain(plan.shape, {plan.rates.compute, twice_as_fast(plan.rates.links)})});
  }
  std::ranges::stable_sort(all, [](const Advice& a, const Advice& b) { return a.gain > b.gain; });
  return all;
}

template <class T>
ComputeRates measured_rates(const PlanOptions& options, const StepShape& shape,
                            const LayerSpec& elementwise, const mpi::Communicator& comm) {
  return measure_compute<T>(comm, Products(parse_product_backend(options.products)), shape,
                            elementwise, optimizer_options_of(train_options(options)),
                            static_cast<int>(options.threads));
}

Plan make_plan(const PlanOptions& options, const mpi::Communicator& comm) {
  Plan plan;
  const int started = comm.world_size();
  const int ranks = options.ranks == 0 ? started : static_cast<int>(options.ranks);
  FlowSpec spec = spec_of(bench_options(options), options.dim);
  spec.classes = options.classes;
  const FlowWork work = work_of(spec);
  plan.model = options.model.empty() ? fmt::format("D {}, {} layer{}", options.dim, options.layers,
                                                   options.layers == 1 ? "" : "s")
                                     : fmt::format("{} of {}", options.model, options.sample);
  plan.shape = shape_of(train_options(options), work, ranks);
  plan.rates.compute = told_rates(options, work.elementwise, ranks);
  plan.rates.links = told_links(options.link_gbps * 1e9 / 8, options.latency_us * 1e-6);
  if (options.measure) {
    const double share = plan.rates.compute.share;  // by --cores
    plan.compute_measured = true;
    plan.rates.compute = options.precision == "float64"
                             ? measured_rates<double>(options, plan.shape, work.elementwise, comm)
                             : measured_rates<float>(options, plan.shape, work.elementwise, comm);
    if (started == 1) {  // alone now, but not then
      plan.rates.compute = scaled(plan.rates.compute, share);
      plan.rates.compute.share = share;
    } else {
      if (options.cores > 0) plan.rates.compute.share = share;
      plan.link_measured = true;
      plan.rates.links = measure_links(comm, plan.shape);
    }
  }
  plan.memory_limit = options.memory_gib * static_cast<double>(1 << 30);
  const std::vector<ExchangeChoice> choices = exchanges_for(plan.shape);
  for (const ExchangeChoice& choice : choices) {
    plan.costs.push_back(step_cost(choice, plan.shape, plan.rates.compute, plan.rates.links));
  }
  plan.chosen =
      static_cast<std::size_t>(&cheapest(plan.costs, plan.memory_limit) - plan.costs.data());
  StepShape alone = plan.shape;
  alone.ranks = 1;
  plan.one_rank_seconds =
      step_cost({"dense", 1}, alone, scaled(plan.rates.compute, 1 / plan.rates.compute.share),
                plan.rates.links)
          .seconds();
  plan.advice = advice_on(plan);
  if (options.compare) {
    plan.measured = time_exchanges(bench_options(options), choices, comm);
  }
  return plan;
}

bool fits(const Plan& plan, const StepCost& cost) {
  return plan.memory_limit <= 0 || cost.memory <= plan.memory_limit;
}

std::string reason_of(const Plan& plan) {
  const StepCost& chosen = plan.costs[plan.chosen];
  if (!fits(plan, chosen)) {
    return fmt::format("no exchange fits into {:.2f} GiB per rank; this one needs the least memory",
                       plan.memory_limit / (1 << 30));
  }
  const auto without_room =
      std::ranges::count_if(plan.costs, [&](const StepCost& cost) { return !fits(plan, cost); });
  const bool is_fastest = std::ranges::all_of(plan.costs, [&](const StepCost& cost) {
    return !fits(plan, cost) || chosen.seconds() <= cost.seconds();
  });
  return fmt::format(
      "{}{}; {:.0f} % of its step is exchange",
      is_fastest ? "fastest" : "as fast as the fastest within 10 %, with fewer meetings of ranks",
      without_room > 0 ? fmt::format(" of those that fit ({} do not)", without_room) : "",
      100 * chosen.exchange / chosen.seconds());
}

nlohmann::json to_json(const Plan& plan) {
  const auto collective = [](const CollectiveRate& rate) {
    return nlohmann::json{{"latency_us", rate.latency * 1e6}, {"gb_per_s", rate.bandwidth * 1e-9}};
  };
  nlohmann::json rows = nlohmann::json::array();
  for (std::size_t i = 0; i < plan.costs.size(); ++i) {
    const StepCost& cost = plan.costs[i];
    const double speed_up = plan.one_rank_seconds / cost.seconds();
    nlohmann::json row = {{"exchange", cost.choice.name},
                          {"row_groups", cost.choice.row_groups},
                          {"step_ms", cost.seconds() * 1e3},
                          {"products_ms", cost.products * 1e3},
                          {"elementwise_ms", cost.elements * 1e3},
                          {"optimizer_ms", cost.optimizer * 1e3},
                          {"exchange_ms", cost.exchange * 1e3},
                          {"bytes_sent", std::llround(cost.bytes_sent)},
                          {"memory_mib", cost.memory / (1 << 20)},
                          {"fits", fits(plan, cost)},
                          {"speed_up", speed_up},
                          {"efficiency", speed_up / plan.shape.ranks}};
    if (!plan.measured.empty()) {
      row["measured_step_ms"] = plan.measured[i].median_ms;
      row["measured_exchange_ms"] = plan.measured[i].exchange_ms;
      row["measured_bytes_sent"] = plan.measured[i].bytes_sent;
      row["predicted_over_measured"] = cost.seconds() * 1e3 / plan.measured[i].median_ms;
    }
    rows.push_back(row);
  }
  nlohmann::json advice = nlohmann::json::array();
  for (const Advice& a : plan.advice) {
    advice.push_back({{"change", a.change}, {"times_the_samples_per_s", a.gain}});
  }
  const StepCost& chosen = plan.costs[plan.chosen];
  const ComputeRates& compute = plan.rates.compute;
  const LinkRates& link = plan.rates.links.all;
  return {{"setting",
           {{"model", plan.model},
            {"dim", plan.shape.dimension},
            {"layers", plan.shape.layers},
            {"whole_parameters", plan.shape.whole_parameters},
            {"batch_size", plan.shape.batch_size},
            {"ranks", plan.shape.ranks}}},
          {"rates",
           {{"measured", plan.compute_measured},
            {"gflops_a_rank", compute.flops * 1e-9},
            {"weights_gb_per_s", compute.weight_bytes * 1e-9},
            {"optimizer_gb_per_s", compute.optimizer_bytes * 1e-9},
            {"elementwise_ns", compute.element_seconds * 1e9},
            {"share_of_cores", compute.share}}},
          {"link",
           {{"measured", plan.link_measured},
            {"allreduce", collective(link.allreduce)},
            {"reduce_scatter", collective(link.reduce_scatter)},
            {"allgather", collective(link.allgather)},
            {"alltoall", collective(link.alltoall)}}},
          {"one_rank_step_ms", plan.one_rank_seconds * 1e3},
          {"exchanges", rows},
          {"choice",
           {{"exchange", chosen.choice.name},
            {"row_groups", chosen.choice.row_groups},
            {"samples_per_s", static_cast<double>(plan.shape.batch_size) / chosen.seconds()},
            {"reason", reason_of(plan)}}},
          {"next", advice}};
}

void print(const Plan& plan) {
  const ComputeRates& compute = plan.rates.compute;
  const LinkRates& link = plan.rates.links.all;
  fmt::print("{}, global batch {}, {} rank{}; one rank alone {:.2f} ms per step\n", plan.model,
             plan.shape.batch_size, plan.shape.ranks, plan.shape.ranks == 1 ? "" : "s",
             plan.one_rank_seconds * 1e3);
  fmt::print("rank  {:.1f} GFLOP/s, optimizer {:.1f} GB/s, {:.2f} of its cores ({})\n",
             compute.flops * 1e-9, compute.optimizer_bytes * 1e-9, compute.share,
             plan.compute_measured ? "measured" : "given or assumed");
  fmt::print(
      "link  allreduce {:.3f}, reduce-scatter {:.3f}, allgather {:.3f}, alltoall {:.3f} GB/s; "
      "{:.0f} us per hop ({})\n\n",
      link.allreduce.bandwidth * 1e-9, link.reduce_scatter.bandwidth * 1e-9,
      link.allgather.bandwidth * 1e-9, link.alltoall.bandwidth * 1e-9, link.allgather.latency * 1e6,
      plan.link_measured ? "measured" : "given or assumed");
  fmt::print("{:24} {:>10} {:>10} {:>10} {:>10} {:>9} {:>10} {:>6} {:>5}{}\n", "exchange",
             "step ms", "computing", "optimizer", "exchange", "sent MiB", "memory MiB", "x 1",
             "eff", plan.measured.empty() ? "" : "   measured");
  for (std::size_t i = 0; i < plan.costs.size(); ++i) {
    const StepCost& cost = plan.costs[i];
    const double speed_up = plan.one_rank_seconds / cost.seconds();
    std::string tail;
    if (!plan.measured.empty()) {
      tail = fmt::format(" {:>10.2f} ({:+.0f} %)", plan.measured[i].median_ms,
                         100 * (cost.seconds() * 1e3 / plan.measured[i].median_ms - 1));
    }
    if (!fits(plan, cost)) tail += "  does not fit";
    fmt::print(
        "{:24} {:>10.2f} {:>10.2f} {:>10.2f} {:>10.2f} {:>9.2f} {:>10.0f} {:>6.2f} {:>5.2f}{}\n",
        cost.choice.text(), cost.seconds() * 1e3, (cost.products + cost.elements) * 1e3,
        cost.optimizer * 1e3, cost.exchange * 1e3, cost.bytes_sent / (1 << 20),
        cost.memory / (1 << 20), speed_up, speed_up / plan.shape.ranks, tail);
  }
  const StepCost& chosen = plan.costs[plan.chosen];
  fmt::print("\nchoice  {}: {}; {:.0f} samples/s\n", chosen.choice.text(), reason_of(plan),
             static_cast<double>(plan.shape.batch_size) / chosen.seconds());
  for (const Advice& a : plan.advice) {
    fmt::print("next    {}: {:.2f} times the samples per second\n", a.change, a.gain);
  }
}

}  // namespace

int plan(const PlanOptions& options, const mpi::Communicator& comm) {
  mpi::together(comm, [&] { set_threads(static_cast<int>(options.threads)); });
  check_report_place(comm, options.json, "choice");
  const int started = comm.world_size();
  if (options.compare && options.ranks != 0 && options.ranks != started) {
    mpi::throw_on_all_ranks(UsageError(fmt::format(
        "--compare: times steps on the {} rank{} started, not on {}; start mpirun -n {}, or leave "
        "--ranks out",
        started, started == 1 ? "" : "s", options.ranks, options.ranks)));
  }
  const Plan plan = make_plan(options, comm);
  report(comm, options.json, to_json(plan), [&] { print(plan); });
  return 0;
}

}  // namespace relgrad
