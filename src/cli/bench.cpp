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
      "Checks one training step against its slow twin, its matrix products, or every exchange "
      "against dense, then times it.";
  command.usage = {
      "step|products|exchange [--dim D] [--layers K] [--batch-size B] [--steps N] [--json FILE|-]"};
  command.examples = {
      {"relgrad bench step", "D = 784, 2 layers, global batch 100"},
      {"mpirun -n 2 relgrad bench step --dim 3072 --steps 10 --json -", "on two ranks, as JSON"},
      {"relgrad bench products --dim 3072 --batch-size 10",
       "the products of a step by every back end"},
      {"mpirun -n 2 relgrad bench exchange --dim 784 --batch-size 200",
       "every exchange in turns, checked against dense"}};
  command.details =
      "A step is compared with its floor, max(flops / peak, bytes / bandwidth), measured turn by\n"
      "turn with the steps. Flops: 8 B D^2 a layer, 6 B D^2 the first. Bytes: three reads of W "
      "(12\n"
      "a weight) and what the optimizer reads and writes, gradient included (28 a weight for "
      "adam,\n"
      "20 momentum, 12 sgd). Peak: multiply-adds in registers, all threads of a rank. Bandwidth:\n"
      "three arrays larger than the caches, read and written in place.";
  command.exit_codes = {0, 1, 2, 6};
  command.set_positional = [what](const std::string& text) { *what = text; };
  const Range<std::int64_t> positive{.least = 1, .most = 1 << 20};
  command.options = joined(
      {group(
           "Step",
           {number_option("dim", options->dim, positive, "", "dimension D of a sample"),
            number_option("layers", options->layers, positive, "", "linear layers"),
            number_option("batch-size", options->batch_size, positive, "samples",
                          "GLOBAL batch, split over the ranks"),
            choice_option("activation", options->activation,
                          {"smooth-leaky-relu", "leaky-tanh", "spline", "none"},
                          "after each linear layer but the last (spline: also the last)"),
            choice_option("optimizer", options->optimizer, {"adam", "momentum", "sgd"},
                          "that moves the parameters"),
            choice_option("exchange", options->exchange,
                          {"auto", "dense", "sharded", "factor", "row"},
                          "how ranks' sums become one update; bench exchange: auto is all of them"),
            number_option("row-groups", options->row_groups,
                          Range<std::int64_t>{.least = 0, .most = 1 << 20}, "ranks",
                          "with --exchange row: ranks that share every W; 0: all"),
            choice_option("overlap", options->overlap, {"auto", "on", "off"},
                          "of bench step: gradients are summed and applied beside the backward "
                          "pass; auto: as train has it"),
            choice_option("products", options->products, {"auto", "openblas", "onednn", "ordered"},
                          "of matrix products; auto: the fastest of each, measured"),
            choice_option("compute", options->compute, {"float32", "bf16"},
                          "operands of matrix products; bf16: rounded, summed in float32"),
            switch_option("deterministic", options->deterministic,
                          "time the deterministic step and, turn by turn, the step without it"),
            number_option("threads", options->threads,
                          Range<std::int64_t>{.least = 1, .most = 1024}, "threads", "per rank"),
            number_option("seed", options->seed, Range<std::uint64_t>{}, "",
                          "of weights and data")}),
       group("Measuring",
             {number_option("steps", options->steps, positive, "steps", "timed"),
              number_option("warmup", options->warmup,
                            Range<std::int64_t>{.least = 0, .most = 1 << 20}, "steps",
                            "before timing"),
              text_option("json", options->json, "FILE", "a file, or - for standard output",
                          "figures as JSON"),
              text_option("dump", options->dump, "FILE", "an .h5 file to make",
                          "weights before and after one step, and its batch; nothing is timed")})});
  command.check = [what] {
    if (*what != "step" && *what != "products" && *what != "exchange") {
      throw UsageError(fmt::format(
          "bench: '{}' is not something to measure; there are: step, products, exchange", *what));
    }
  };
  command.run_on_ranks = [options, what](const mpi::Communicator& world) {
    if (*what == "products") return bench_products(*options, world);
    return *what == "exchange" ? bench_exchange(*options, world) : bench_step(*options, world);
  };
  return command;
}

}  // namespace relgrad::cli
