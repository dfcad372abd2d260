#include "bench/bench_exchange.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "bench/bench_fixture.hpp"
#include "core/spread.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/mpi/agreement.hpp"
#include "run/json_report.hpp"

namespace relgrad {

namespace {

constexpr int rounds = 3;

BenchStepOptions with(const BenchStepOptions& options, const ExchangeChoice& choice) {
  BenchStepOptions result = options;
  result.exchange = choice.name;
  result.row_groups = choice.row_groups;
  result.deterministic = false;
  return result;
}

/// The weights here after two steps in double precision, side by side.
Matrix<double> weights_after_steps(const BenchStepOptions& options, const mpi::Communicator& comm,
                                   Range& own) {
  constexpr Index dimension = 24;
  BenchStepOptions plain = options;
  plain.optimizer =
      "sgd";  // others divide by gradients, and so by rounding errors where those vanish
  BenchFixture<double> bench(plain, dimension, comm);
  bench.run();
  bench.run();
  own = bench.flow.own();
  Matrix<double> weights(dimension, 0);
  const ParameterStore<double>& store = bench.flow.parameters();
  for (ParameterId id = 0; id < store.count(); ++id) {
    if (!store.info(id).use.by_columns) continue;
    const Index before = weights.cols();
    weights.conservativeResize(Eigen::NoChange, before + own.size());
    weights.rightCols(own.size()) = store.matrix(id);
  }
  return weights;
}

/// Largest relative difference on any rank between the weights that `choice` and dense give.
double difference_to_dense(const BenchStepOptions& options, const ExchangeChoice& choice,
                           const mpi::Communicator& comm) {
  Range own;
  Range all;
  const Matrix<double> weights = weights_after_steps(with(options, choice), comm, own);
  const Matrix<double> dense = weights_after_steps(with(options, {"dense", 1}), comm, all);
  double worst = 0;
  for (Index layer = 0; layer < options.layers; ++layer) {
    const auto mine = weights.middleCols(layer * own.size(), own.size());
    const auto its = dense.middleCols(layer * all.size() + own.begin, own.size());
    if (own.size() > 0) worst = std::max(worst, (mine - its).norm() / its.norm());
  }
  comm.allreduce_max(std::span(&worst, 1));
  return worst;
}

std::vector<ExchangeChoice> choices_of(const BenchStepOptions& options,
                                       const mpi::Communicator& comm) {
  std::vector<ExchangeChoice> all = all_exchanges(comm.world_size());
  if (options.exchange == "auto") return all;
  std::erase_if(all, [&](const ExchangeChoice& choice) {
    if (choice.name == "dense") return false;
    if (choice.name != options.exchange) return true;
    return choice.name == "row" && options.row_groups != 0 &&
           choice.row_groups != options.row_groups;
  });
  return all;
}

nlohmann::json to_json(const ExchangeTime& time, const ExchangeTime& dense) {
  return {{"exchange", time.choice.name},
          {"row_groups", time.choice.row_groups},
          {"median_ms", time.median_ms},
          {"min_ms", time.min_ms},
          {"max_ms", time.max_ms},
          {"exchange_ms", time.exchange_ms},
          {"bytes_sent", time.bytes_sent},
          {"times_as_fast_as_dense", dense.median_ms / time.median_ms}};
}

void print(const nlohmann::json& result) {
  fmt::print("check   weights after two steps against dense: {:.1e}, limit {:.0e}\n",
             result["check"]["relative_error"].get<double>(),
             result["check"]["limit"].get<double>());
  fmt::print("{:24} {:>10} {:>17} {:>12} {:>12} {:>10}\n", "exchange", "step", "spread",
             "exchanging", "sent", "vs dense");
  for (const auto& row : result["exchanges"]) {
    const ExchangeChoice choice{row["exchange"], row["row_groups"]};
    const auto ms = [&](const char* key) { return row[key].get<double>(); };
    fmt::print("{:24} {:>7.2f} ms {:>14} ms {:>9.2f} ms {:>8.2f} MiB {:>8.2f} x\n", choice.text(),
               ms("median_ms"), fmt::format("{:.2f} ... {:.2f}", ms("min_ms"), ms("max_ms")),
               ms("exchange_ms"), ms("bytes_sent") / (1 << 20), ms("times_as_fast_as_dense"));
  }
}

}  // namespace

std::vector<ExchangeTime> time_exchanges(const BenchStepOptions& options,
                                         const std::vector<ExchangeChoice>& choices,
                                         const mpi::Communicator& comm) {
  std::vector<std::vector<double>> milliseconds(choices.size());
  std::vector<ExchangeTime> times(choices.size());
  const std::int64_t steps = (options.steps + rounds - 1) / rounds;
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < choices.size(); ++i) {
      // One at a time: weights and moments of all together could be more than memory holds.
      BenchFixture<float> bench(with(options, choices[i]), options.dim, comm, 0.0);
      for (std::int64_t step = 0; step < std::max<std::int64_t>(1, options.warmup); ++step) {
        bench.run();
      }
      bench.step.take_seconds();
      bench.step.take_bytes_sent();
      for (std::int64_t step = 0; step < steps; ++step) {
        milliseconds[i].push_back(bench.milliseconds());
      }
      times[i].exchange_ms += bench.step.take_seconds().exchange * 1e3;
      times[i].bytes_sent = bench.step.take_bytes_sent() / steps;
    }
  }
  for (std::size_t i = 0; i < choices.size(); ++i) {
    ExchangeTime& time = times[i];
    comm.allreduce_max(milliseconds[i]);
    time.choice = choices[i];
    const Spread spread = spread_of(milliseconds[i]);
    time.median_ms = spread.median;
    time.min_ms = spread.least;
    time.max_ms = spread.most;
    std::array<double, 2> most = {time.exchange_ms / static_cast<double>(rounds * steps),
                                  static_cast<double>(time.bytes_sent)};
    comm.allreduce_max(most);
    time.exchange_ms = most[0];
    time.bytes_sent = static_cast<std::int64_t>(most[1]);
  }
  return times;
}

int bench_exchange(const BenchStepOptions& options, const mpi::Communicator& comm) {
  mpi::together(comm, [&] { set_threads(static_cast<int>(options.threads)); });
  check_report_place(comm, options.json, "exchanges");
  constexpr double limit = 1e-13;  // the steps move the weights by a thousandth
  const std::vector<ExchangeChoice> choices = choices_of(options, comm);
  double worst = 0;
  for (const ExchangeChoice& choice : choices) {
    const double error = difference_to_dense(options, choice, comm);
    worst = std::max(worst, error);
    if (!(error <= limit)) {
      mpi::throw_on_all_ranks(Error(
          ExitCode::internal, fmt::format("bench exchange: {} updates the weights differently from "
                                          "dense: {:.1e}, limit {:.0e}",
                                          choice.text(), error, limit)));
    }
  }
  const std::vector<ExchangeTime> times = time_exchanges(options, choices, comm);
  nlohmann::json result = {{"check", {{"relative_error", worst}, {"limit", limit}}},
                           {"exchanges", nlohmann::json::array()},
                           {"setting",
                            {{"dim", options.dim},
                             {"layers", options.layers},
                             {"batch_size", options.batch_size},
                             {"activation", options.activation},
                             {"optimizer", options.optimizer},
                             {"threads", options.threads},
                             {"ranks", comm.world_size()},
                             {"steps", options.steps},
                             {"precision", "float32"}}}};
  for (const ExchangeTime& time : times) {
    result["exchanges"].push_back(to_json(time, times.front()));
  }
  report(comm, options.json, result, [&] { print(result); });
  return 0;
}

}  // namespace relgrad
