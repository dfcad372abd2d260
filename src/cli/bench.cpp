#include <fmt/format.h>

#include <memory>

#include "bench/bench_exchange.hpp"
#include "bench/bench_products.hpp"
#include "bench/bench_step.hpp"
#include "command.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad::cli {

Command bench_command() {
  const auto options = std::make_shared<BenchStepOptions>();
  const auto what = std::make_shared<std::string>();
  Command command;
  command.name = "bench";
  command.summary =
      "Times a training step, its matrix products or every exchange, after checking the results.";
  command.usage = {
      "step|products|exchange [--dim D] [--layers K] [--batch-size B] [--steps N] [--json FILE|-]"};
  command.examples = {{"relgrad bench step", "D = 784, 2 layers, global batch 100"},
                      {"mpirun -n 2 relgrad bench step --dim 3072 --steps 10 --json -",
                       "two ranks, result as JSON"},
                      {"relgrad bench products --dim 3072 --batch-size 10",
                       "the products of a step with every library"},
                      {"mpirun -n 2 relgrad bench exchange --dim 784 --batch-size 200",
                       "all exchanges by turns, each checked against dense"}};
  command.details =
      "bench step compares a step with its floor, max(flops / peak, bytes / bandwidth), which\n"
      "is measured between the steps. Flops: 8 B D^2 per full layer, 6 B D^2 for the first, and\n"
      "three times those of the forward pass of every other layer. Bytes: three reads of W (12\n"
      "per weight) and what the optimizer reads and writes, gradient included (28 per weight\n"
      "for adam, 20 for momentum, 12 for sgd and natural); all other parameters and their\n"
      "moments, read and written. Peak: multiply-adds in registers, with all threads of one\n"
      "rank. Bandwidth: three arrays larger than the caches, updated in place.";
  command.exit_codes = {0, 1, 2, 6, 8};
  command.set_positional = [what](const std::string& text) { *what = text; };
  const Limits<std::int64_t> positive{.least = 1, .most = 1 << 20};
  command.options = joined(
      {group(
           "Step",
           {number_option("dim", options->dim, positive, "", "dimension D of a sample"),
            number_option("layers", options->layers, positive, "", "number of linear layers"),
            text_option("model", options->model, "LINE", "layers in order, or a name",
                        "bench step: the layers in one line, as of relgrad train, in place of "
                        "--dim, --layers and --activation"),
            text_option("sample", options->sample, "CxHxW", "channels x height x width",
                        "shape of a sample of --model"),
            choice_option("gradient", options->gradient, {"relative", "self-normalizing"},
                          "estimator of the gradient of --model"),
            number_option("batch-size", options->batch_size, positive, "samples",
                          "samples per step, of all ranks together"),
            choice_option("activation", options->activation,
                          {"smooth-leaky-relu", "leaky-tanh", "spline", "none"},
                          "element-wise map after each linear layer but the last (spline: also "
                          "after the last)"),
            choice_option("optimizer", options->optimizer, {"adam", "momentum", "sgd", "natural"},
                          "update rule"),
            choice_option(
                "exchange", options->exchange,
                {"auto", "dense", "sharded", "factor", "gathered", "row"},
                "how ranks combine their gradients; with bench exchange, auto times all of them"),
            number_option("row-groups", options->row_groups,
                          Limits<std::int64_t>{.least = 0, .most = 1 << 20}, "ranks",
                          "with --exchange row: number of ranks that share every W; 0: all ranks"),
            choice_option("products", options->products, {"auto", "openblas", "onednn", "ordered"},
                          "library for matrix products; auto: the fastest for each shape, measured "
                          "at the start"),
            choice_option(
                "compute", options->compute, {"float32", "bf16"},
                "number type of the operands of matrix products; bf16: rounded, summed in float32"),
            switch_option("deterministic", options->deterministic,
                          "time steps with and without --deterministic, by turns"),
            number_option("threads", options->threads,
                          Limits<std::int64_t>{.least = 1, .most = 1024}, "threads",
                          "threads per rank"),
            number_option("seed", options->seed, Limits<std::uint64_t>{}, "",
                          "seed of weights and data")}),
       group("Measurement",
             {number_option("steps", options->steps, positive, "steps", "number of timed steps"),
              number_option("warmup", options->warmup,
                            Limits<std::int64_t>{.least = 0, .most = 1 << 20}, "steps",
                            "number of steps before timing starts"),
              place_option("json", options->json, "FILE", "a file, or - for standard output",
                           "also write the figures as JSON"),
              place_option(
                  "dump", options->dump, "FILE", "an .h5 file to make",
                  "write the weights before and after one step, and its batch; time nothing")})});
  command.check = [what] {
    if (*what != "step" && *what != "products" && *what != "exchange") {
      throw UsageError(
          fmt::format("bench: '{}' cannot be timed; choose step, products or exchange", *what));
    }
  };
  command.run_on_ranks = [options, what](const mpi::Communicator& world) {
    if (*what == "products") return bench_products(*options, world);
    return *what == "exchange" ? bench_exchange(*options, world) : bench_step(*options, world);
  };
  return command;
}

}  // namespace relgrad::cli
