#include "bench/bench_step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "bench/bench_fixture.hpp"
#include "bench/step_floor.hpp"
#include "hdf5/file.hpp"
#include "linalg/lu.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/files.hpp"
#include "relgrad/core/random.hpp"
#include "relgrad/gradient/buffer.hpp"
#include "relgrad/likelihood/log_likelihood.hpp"
#include "relgrad/mpi/agreement.hpp"
#include "run/json_report.hpp"
#include "run/run_directory.hpp"
#include "translate/translate.hpp"
#include "tuning/determinism.hpp"
#include "tuning/product_choice.hpp"

namespace relgrad {

namespace {

/// Largest relative difference between the fast step (relative gradient, fused SGD update) and the
/// slow twin: plain gradient by LU, times M^T M, M = [[W, b], [0, 1]]. Double precision, small D.
double check(const BenchStepOptions& options, const mpi::Communicator& comm) {
  constexpr Index dimension = 24;
  BenchStepOptions small = options;
  small.optimizer = "sgd";
  small.compute = "float32";
  BenchFixture<double> fast(small, dimension, comm);
  small.exchange = "dense";
  small.deterministic = false;
  BenchFixture<double> slow(small, dimension, comm);

  Workspace<double> workspace(slow.flow, std::max<Index>(1, slow.batch.count));
  workspace.set_batch(slow.batch.count);
  workspace.input() = slow.batch.x;
  std::ranges::fill(workspace.log_likelihood(), 0.0);
  forward(slow.flow, workspace);
  GradientBuffer<double> plain(slow.flow.parameters(), slow.products);
  plain.clear();
  FlowGradient<double>(slow.flow, GradientKind::plain).backward(workspace, plain);
  comm.allreduce_sum(plain.flat());
  plain.add_per_sample_terms(static_cast<double>(options.batch_size));

  const std::vector<double> before(fast.flow.parameters().flat().begin(),
                                   fast.flow.parameters().flat().end());
  fast.run();
  double worst = 0;
  for (const LinearLayer<double>* layer : slow.flow.linear_layers()) {
    Matrix<double> m = Matrix<double>::Identity(dimension + 1, dimension + 1);
    m.topLeftCorner(dimension, dimension) = layer->weight();
    m.topRightCorner(dimension, 1) = layer->bias();
    Matrix<double> g(dimension, dimension + 1);
    g << plain.matrix(layer->weight_id()), plain.matrix(layer->bias_id());
    const Matrix<double> expected =
        (g * m.transpose() * m * (1e-3 / static_cast<double>(options.batch_size)))
            .middleCols(fast.flow.own().begin, fast.flow.own().size());
    const ParameterInfo& info = fast.flow.parameters().info(layer->weight_id());
    const Matrix<double> moved =
        fast.flow.parameters().matrix(layer->weight_id()) -
        ConstMatrixMap<double>(before.data() + info.offset, dimension, expected.cols());
    worst = std::max(worst, (moved - expected).norm() / expected.norm());
  }
  return worst;
}

/// The derivative of the log-likelihood of a --model by its input along a random direction, in
/// double precision: relative difference of the backward pass to central differences.
double check_model(const BenchStepOptions& options) {
  BenchStepOptions small = options;
  small.compute = "float32";
  Flow<double> flow(spec_of(small, options.dim), Products(ProductBackend::openblas));
  flow.initialize(Initialization::identity, 0.01, options.seed);
  constexpr Index samples = 2;
  const auto normal = [&](std::uint64_t item) {
    Matrix<double> x(flow.dimension(), samples);
    RandomStream(options.seed, Purpose::test, 1, item)
        .normal(std::span(x.data(), static_cast<std::size_t>(x.size())));
    return x;
  };
  const Matrix<double> x = normal(0);
  const Matrix<double> direction = normal(1);
  Workspace<double> workspace(flow, samples);
  const auto log_likelihood = [&](double step) {
    const Matrix<double> at = x + step * direction;
    workspace.load(at.data(), samples);
    forward(flow, workspace);
    double sum = 0;
    for (const double nats : workspace.log_likelihood()) sum += nats;
    return sum;
  };
  constexpr double h = 1e-4;
  const auto slope = [&](double step) {
    return (log_likelihood(step) - log_likelihood(-step)) / (2 * step);
  };
  const double numerical = (4 * slope(h / 2) - slope(h)) / 3;
  log_likelihood(0);
  workspace.ask_for_input_delta();
  const Products products(ProductBackend::openblas);
  GradientBuffer<double> buffer(flow.parameters(), products);
  buffer.clear();
  FlowGradient<double>(flow, gradient_options_of(train_options(options)))
      .backward(workspace, buffer);
  const double analytic = workspace.input_delta().cwiseProduct(direction).sum();
  return std::abs(analytic - numerical) / std::abs(numerical);
}

int dump(const BenchStepOptions& options, const mpi::Communicator& comm) {
  if (comm.world_size() > 1) throw UsageError("--dump: start it on one rank");
  BenchFixture<float> bench(options, options.dim, comm);
  ParameterStore<float>& store = bench.flow.parameters();
  std::vector<hdf5::DatasetPlan> plans;
  const auto shape = [](Index cols, Index rows) {
    return std::vector<std::uint64_t>{static_cast<std::uint64_t>(cols),
                                      static_cast<std::uint64_t>(rows)};
  };
  for (const char* when : {"/before/", "/after/"}) {
    for (ParameterId id = 0; id < store.count(); ++id) {
      plans.push_back({when + store.info(id).name,
                       hdf5::Type::float32,
                       shape(store.info(id).cols, store.info(id).rows),
                       {}});
    }
  }
  plans.push_back(
      {"/x", hdf5::Type::float32, shape(bench.batch.count, bench.spec.dimension()), {}});
  NewFile output(options.dump, "--dump");
  const auto places = hdf5::create(output.temporary(), plans);
  const hdf5::RawFile file(output.temporary(), hdf5::RawFile::Mode::write);
  std::size_t next = 0;
  const auto write_parameters = [&] {
    for (ParameterId id = 0; id < store.count(); ++id, ++next) {
      file.write_at(places[next].offset, store.values(id).data(), places[next].bytes);
    }
  };
  write_parameters();
  bench.run();
  write_parameters();
  file.write_at(places[next].offset, bench.batch.x.data(), places[next].bytes);
  output.commit();
  return 0;
}

/// Steps as in training, where each finds in the caches what the one before left there: a step that
/// is not timed comes between what has just been done and the one that is.
class WarmSteps {
 public:
  explicit WarmSteps(BenchFixture<float>& bench) : bench_(&bench) {}
  double milliseconds() {
    bench_->run();
    bench_->step.take_seconds();
    bench_->step.take_bytes_sent();
    const double milliseconds = bench_->milliseconds();
    const StepSeconds here = bench_->step.take_seconds();
    for (const auto part : {&StepSeconds::forward, &StepSeconds::wait, &StepSeconds::backward,
                            &StepSeconds::exchange, &StepSeconds::optimizer}) {
      parts_.*part += here.*part;
    }
    bytes_sent_ += bench_->step.take_bytes_sent();
    return milliseconds;
  }
  const StepSeconds& parts() const { return parts_; }  // of all timed steps
  std::int64_t bytes_sent() const { return bytes_sent_; }

 private:
  BenchFixture<float>* bench_;
  StepSeconds parts_;
  std::int64_t bytes_sent_ = 0;
};

/// @param exchange  comes back as the one that was taken
nlohmann::json time_steps(const BenchStepOptions& options, const mpi::Communicator& comm,
                          std::string& exchange) {
  const double noise = options.model.empty() ? 0.5 : 0.01;
  BenchFixture<float> bench(options, options.dim, comm, noise);
  exchange = bench.sharing.name();
  BenchStepOptions other = options;
  other.deterministic = false;
  std::optional<BenchFixture<float>> without;
  if (options.deterministic) without.emplace(other, options.dim, comm, noise);
  for (std::int64_t i = 0; i < options.warmup; ++i) {
    bench.run();
    if (without) without->run();
  }
  FloorMeter meter;
  WarmSteps steps(bench);
  std::vector<double> milliseconds;
  std::vector<double> without_milliseconds;
  for (std::int64_t i = 0; i < options.steps; ++i) {
    meter.measure();
    milliseconds.push_back(steps.milliseconds());
    if (without) without_milliseconds.push_back(WarmSteps(*without).milliseconds());
  }
  const StepSeconds& parts = steps.parts();
  const double n = static_cast<double>(options.steps);
  const Spread spread = spread_of(milliseconds);
  const int ranks = comm.world_size();
  const double samples = static_cast<double>(options.batch_size) / ranks;
  const Optimizer<float> optimizer({parse_optimizer_kind(options.optimizer)});
  const int moments = optimizer.moment_count();
  const StepWork work = work_of_step(
      bench.work, samples, optimizer.weights_have_moments() ? moments : 0, moments, ranks);
  nlohmann::json time = {{"median_ms", spread.median},
                         {"min_ms", spread.least},
                         {"lower_quartile_ms", spread.lower_quartile},
                         {"upper_quartile_ms", spread.upper_quartile},
                         {"max_ms", spread.most},
                         {"steps", options.steps},
                         {"gflops_per_s", work.flops * ranks / spread.median * 1e-6},
                         {"ms_by_part",
                          {{"forward", parts.forward / n * 1e3},
                           {"backward", parts.backward / n * 1e3},
                           {"exchange", parts.exchange / n * 1e3},
                           {"exposed_exchange", (parts.exchange + parts.wait) / n * 1e3},
                           {"wait", parts.wait / n * 1e3},
                           {"optimizer", parts.optimizer / n * 1e3}}},
                         {"bytes_sent_per_step", steps.bytes_sent() / options.steps},
                         {"floor", meter.report(work, spread)},
                         {"products", to_json(bench.products)}};
  if (without) time["not_deterministic_median_ms"] = spread_of(without_milliseconds).median;
  return time;
}

void print_floor(const nlohmann::json& floor) {
  const auto number = [&](const char* key) { return floor[key].get<double>(); };
  const auto spread = [&](const char* key, const char* format) {
    const auto& of = floor[key];
    return fmt::format(fmt::runtime(format), of["median"].get<double>(), of["min"].get<double>(),
                       of["max"].get<double>());
  };
  fmt::print("floor   {:.2f} ms, by {}: max({:.2f} GFLOP / peak, {:.0f} MB / bandwidth)\n",
             number("floor_ms"), floor["bound_by"].get<std::string>(), number("flops") * 1e-9,
             number("bytes") * 1e-6);
  fmt::print("  peak       {}\n", spread("peak_gflops_per_s",
                                         "{:.1f} GFLOP/s, {:.1f} ... {:.1f}: multiply-adds in "
                                         "registers, all threads of one rank"));
  fmt::print("  bandwidth  {}\n",
             spread("bandwidth_gb_per_s",
                    "{:.1f} GB/s, {:.1f} ... {:.1f}: three arrays read and written"));
  fmt::print(
      "ratio   step / floor {:.2f}, {:.2f} ... {:.2f}; {:.2f} to the floor of a step that "
      "keeps gradients in cache\n",
      number("step_over_floor"), number("step_over_floor_min"), number("step_over_floor_max"),
      number("step_over_fused_floor"));
}

}  // namespace

int bench_step(const BenchStepOptions& options, const mpi::Communicator& comm) {
  mpi::together(comm, [&] { set_threads(static_cast<int>(options.threads)); });
  check_report_place(comm, options.json, "check");
  if (!options.dump.empty()) return dump(options, comm);
  const bool is_model = !options.model.empty();
  const double limit = is_model ? 1e-6 : 1e-10;
  double error = 0;
  if (is_model) {
    mpi::together(comm, [&] { error = check_model(options); });
  } else {
    error = check(options, comm);
  }
  if (!(error <= limit)) {
    throw Error(ExitCode::internal,
                fmt::format("bench step: the {} by {:.1e}, limit {:.0e}",
                            is_model ? "derivative by the input differs from central differences"
                                     : "fast step differs from the plain gradient times M^T M",
                            error, limit));
  }
  std::string exchange;
  const nlohmann::json time_of_steps = time_steps(options, comm, exchange);
  nlohmann::json result = {{"check", {{"relative_error", error}, {"limit", limit}}},
                           {"time", time_of_steps},
                           {"setting",
                            {{"dim", options.dim},
                             {"layers", options.layers},
                             {"model", options.model},
                             {"sample", options.sample},
                             {"gradient", options.gradient},
                             {"batch_size", options.batch_size},
                             {"activation", options.activation},
                             {"optimizer", options.optimizer},
                             {"threads", options.threads},
                             {"ranks", comm.world_size()},
                             {"exchange", exchange},
                             {"products", options.products},
                             {"compute", options.compute},
                             {"deterministic", options.deterministic},
                             {"precision", "float32"}}}};
  report(comm, options.json, result, [&] {
    const auto& time = result["time"];
    const auto ms = [&](const char* key) { return time[key].get<double>(); };
    fmt::print("check   {}: {:.1e}, limit {:.0e}\n",
               is_model ? "derivative by the input against central differences"
                        : "fast step against plain gradient times M^T M",
               error, limit);
    fmt::print(
        "time    median {:.2f} ms, quartiles {:.2f} and {:.2f}, min {:.2f}, max {:.2f} over {} "
        "steps after {} warm-ups\n",
        ms("median_ms"), ms("lower_quartile_ms"), ms("upper_quartile_ms"), ms("min_ms"),
        ms("max_ms"), options.steps, options.warmup);
    if (options.deterministic) {
      fmt::print("        without --deterministic, by turns: median {:.2f} ms; cost {:+.1f} %\n",
                 ms("not_deterministic_median_ms"),
                 100.0 * (ms("median_ms") / ms("not_deterministic_median_ms") - 1.0));
    }
    fmt::print("rate    {:.0f} GFLOP/s in matrix products\n", ms("gflops_per_s"));
    print_floor(time["floor"]);
    for (const auto& [part, value] : time["ms_by_part"].items()) {
      fmt::print("  {:10} {:8.2f} ms\n", part, value.get<double>());
    }
    const std::string model =
        is_model
            ? fmt::format("{} of {}, {} gradient", options.model, options.sample, options.gradient)
            : fmt::format("D {}, {} layers, {}", options.dim, options.layers, options.activation);
    fmt::print("setting {}, global batch {}, {}, {} rank{} x {} thread{}\n", model,
               options.batch_size, options.optimizer, comm.world_size(),
               comm.world_size() == 1 ? "" : "s", options.threads, options.threads == 1 ? "" : "s");
  });
  return 0;
}

}  // namespace relgrad
