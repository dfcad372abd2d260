#include "bench/plan.hpp"

#include <memory>

#include "command.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad::cli {

Command plan_command() {
  const auto options = std::make_shared<PlanOptions>();
  Command command;
  command.name = "plan";
  command.summary =
      "Predicts step time, memory and bytes sent of every exchange on so many ranks, and what "
      "would "
      "pay next.";
  command.usage = {
      "[--dim D] [--layers K] [--batch-size B] [--ranks P] [--link-gbps G] [--measure] "
      "[--json FILE|-]"};
  command.examples = {
      {"relgrad plan --dim 3072 --batch-size 128 --ranks 16 --link-gbps 100 --latency-us 2",
       "a cluster that is only known by its data sheet"},
      {"relgrad plan --dim 3072 --ranks 16 --threads 2 --measure",
       "with this machine's rates of computing"},
      {"mpirun -n 2 relgrad plan --dim 784 --measure --compare",
       "these ranks and what is between them, and how far the prediction is off"}};
  command.exit_codes = {0, 1, 2, 6};
  const Range<std::int64_t> positive{.least = 1, .most = 1 << 20};
  const Range<std::int64_t> from_zero{.least = 0, .most = 1 << 20};
  const Range<double> above_zero{.least = 0, .least_allowed = false};
  command.options = joined(
      {group("Step",
             {number_option("dim", options->dim, positive, "", "dimension D of a sample"),
              number_option("layers", options->layers, positive, "", "linear layers"),
              number_option("batch-size", options->batch_size,
                            Range<std::int64_t>{.least = 1, .most = 1 << 24}, "samples",
                            "GLOBAL batch, split over the ranks"),
              number_option("ranks", options->ranks, from_zero, "ranks",
                            "that share a step; 0: those that were started"),
              number_option("threads", options->threads,
                            Range<std::int64_t>{.least = 1, .most = 1024}, "threads", "per rank"),
              choice_option("activation", options->activation,
                            {"spline", "smooth-leaky-relu", "leaky-tanh", "none"},
                            "after each linear layer"),
              choice_option("optimizer", options->optimizer, {"adam", "momentum", "sgd"},
                            "that moves the parameters"),
              choice_option("precision", options->precision, {"float32", "float64"},
                            "of parameters and products")}),
       group("Machine, as told",
             {number_option("cores", options->cores, from_zero, "cores",
                            "that all ranks share; 0: every thread has its own"),
              number_option("gflops", options->gflops, above_zero, "GFLOP/s",
                            "of a thread, in matrix products"),
              number_option("memory-gbps", options->memory_gbps, above_zero, "GB/s",
                            "that a rank reads and writes memory with"),
              number_option("memory-gib", options->memory_gib, Range<double>{.least = 0}, "GiB",
                            "that a rank may take; 0: no limit"),
              number_option("link-gbps", options->link_gbps, above_zero, "Gbit/s",
                            "of the link of a rank"),
              number_option("latency-us", options->latency_us, Range<double>{.least = 0}, "us",
                            "of a message from rank to rank")}),
       group("Machine, as measured",
             {switch_option("measure", options->measure,
                            "measure what computing takes here, and under mpirun what is between "
                            "the ranks, instead of what is told"),
              switch_option("compare", options->compare,
                            "time steps of every exchange as well (not float64)"),
              number_option("steps", options->steps, positive, "steps", "of each, with --compare"),
              choice_option("products", options->products,
                            {"auto", "openblas", "onednn", "ordered"}, "of matrix products"),
              text_option("json", options->json, "FILE", "a file, or - for standard output",
                          "the plan as JSON")})});
  command.check = [options] {
    if (options->compare && options->precision == "float64") {
      throw UsageError("--compare: steps are timed in float32; leave --precision out");
    }
  };
  command.run_on_ranks = [options](const mpi::Communicator& world) {
    return plan(*options, world);
  };
  return command;
}

}  // namespace relgrad::cli
