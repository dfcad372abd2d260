#include "bench/bench_products.hpp"

#include <fmt/format.h>

#include "bench/step_floor.hpp"
#include "core/spread.hpp"
#include "linalg/machine_speed.hpp"
#include "linalg/product_timing.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/mpi/agreement.hpp"
#include "run/json_report.hpp"
#include "tuning/product_choice.hpp"

namespace relgrad {

namespace {

constexpr double most_flops = 4e9;  // of one call; of larger products a part is computed

struct Measured {
  ProductShape shape;
  ProductBackend backend;
  double error_over_bound;
  Spread gflops_per_s;
};

TrainOptions as_train_options(const BenchStepOptions& options) {
  TrainOptions train;
  train.exchange = options.exchange;
  train.row_groups = options.row_groups;
  train.batch_size = options.batch_size;
  return train;
}

std::vector<Measured> measure_shape(const ProductShape& shape, const BenchStepOptions& options,
                                    const std::vector<ProductBackend>& backends) {
  ProductTimer<float> timer(shape, most_flops);
  const Compute compute = parse_compute(options.compute);
  std::vector<Measured> measured;
  std::vector<std::vector<double>> rates(backends.size());
  for (const ProductBackend backend : backends) {
    const Products products(backend, compute);
    timer.seconds(products);
    measured.push_back({shape, backend, timer.error_over_bound(products), {}});
    if (!(measured.back().error_over_bound <= 1)) {
      throw Error(ExitCode::internal,
                  fmt::format("bench products: {} is wrong: an error of {:.1e} times the bound of "
                              "float summation at {} x {} x {}",
                              name_of(backend), measured.back().error_over_bound, shape.m, shape.n,
                              shape.k));
    }
  }
  for (std::int64_t step = -options.warmup; step < options.steps; ++step) {
    for (std::size_t b = 0; b < backends.size(); ++b) {
      const double seconds = timer.seconds(Products(backends[b], compute));
      if (step >= 0) rates[b].push_back(shape.flops() / seconds * 1e-9);
    }
  }
  for (std::size_t b = 0; b < backends.size(); ++b) measured[b].gflops_per_s = spread_of(rates[b]);
  return measured;
}

std::string formula(const ProductShape& shape, bool is_first_layer) {
  if (shape.op_b == Transpose::yes) return "Delta P^T, a tile";
  if (shape.op_a == Transpose::no) return "W X";
  return is_first_layer ? "W^T Y, first layer" : "W^T [Delta | Y]";
}

nlohmann::json to_json(const std::vector<std::vector<Measured>>& all) {
  nlohmann::json products = nlohmann::json::array();
  for (std::size_t s = 0; s < all.size(); ++s) {
    for (const Measured& m : all[s]) {
      products.push_back({{"product", formula(m.shape, s == 2)},
                          {"m", m.shape.m},
                          {"n", m.shape.n},
                          {"k", m.shape.k},
                          {"backend", name_of(m.backend)},
                          {"error_over_bound", m.error_over_bound},
                          {"gflops_per_s", to_json(m.gflops_per_s, 1)}});
    }
  }
  return products;
}

void print(const nlohmann::json& result) {
  const auto number = [](const nlohmann::json& spread, const char* key) {
    return spread[key].get<double>();
  };
  const auto& peak = result["peak_gflops_per_s"];
  fmt::print("peak    {:.0f} GFLOP/s of multiply-adds in registers, {:.0f} to {:.0f}\n",
             number(peak, "median"), number(peak, "min"), number(peak, "max"));
  fmt::print("{:19} {:>5} x {:>5} x {:>5}  {:9} {:>8} {:>17} {:>8}\n", "product", "m", "n", "k",
             "back end", "GFLOP/s", "min ... max", "of peak");
  for (const auto& p : result["products"]) {
    const auto& rate = p["gflops_per_s"];
    fmt::print("{:19} {:5} x {:5} x {:5}  {:9} {:8.1f} {:>17} {:7.0f} %\n",
               p["product"].get<std::string>(), p["m"].get<Index>(), p["n"].get<Index>(),
               p["k"].get<Index>(), p["backend"].get<std::string>(), number(rate, "median"),
               fmt::format("{:.1f} ... {:.1f}", number(rate, "min"), number(rate, "max")),
               100 * number(rate, "median") / number(peak, "median"));
  }
}

}  // namespace

int bench_products(const BenchStepOptions& options, const mpi::Communicator& comm) {
  mpi::together(comm, [&] { set_threads(static_cast<int>(options.threads)); });
  check_report_place(comm, options.json, "products");
  std::vector<ProductBackend> backends = product_backends<float>();
  if (options.products != "auto") backends = {parse_product_backend(options.products)};
  std::vector<std::vector<Measured>> all;
  std::vector<double> peak;
  mpi::together(comm, [&] {
    for (const ProductShape& shape :
         product_shapes(as_train_options(options), options.dim, comm.world_size(), sizeof(float))) {
      for (int i = 0; i < 5; ++i) peak.push_back(measure_peak_flops());
      all.push_back(measure_shape(shape, options, backends));
    }
  });
  const nlohmann::json result = {{"products", to_json(all)},
                                 {"peak_gflops_per_s", to_json(spread_of(peak), 1e9)},
                                 {"setting",
                                  {{"dim", options.dim},
                                   {"batch_size", options.batch_size},
                                   {"steps", options.steps},
                                   {"threads", options.threads},
                                   {"ranks", comm.world_size()},
                                   {"compute", options.compute}}}};
  report(comm, options.json, result, [&] { print(result); });
  return 0;
}

}  // namespace relgrad
