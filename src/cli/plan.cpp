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
      "Predicts step time, memory and traffic of each exchange for a given number of ranks, and "
      "suggests what to change next.";
  command.usage = {
      "[--dim D | --model LINE] [--batch-size B] [--ranks P] [--link-gbps G] [--measure] "
      "[--json FILE|-]"};
  command.examples = {
      {"relgrad plan --dim 3072 --batch-size 128 --ranks 16 --link-gbps 100 --latency-us 2",
       "a cluster of which only the data sheet is known"},
      {"relgrad plan --model glow:3x32:512 --sample 3x32x32 --ranks 16",
       "a model of other layers than full matrices"},
      {"relgrad plan --dim 3072 --ranks 16 --threads 2 --measure",
       "computing rates measured on this machine"},
      {"mpirun -n 2 relgrad plan --dim 784 --measure --compare",
       "these ranks and their network, measured; prediction beside measured steps"}};
  command.exit_codes = {0, 1, 2, 6, 8};
  const Limits<std::int64_t> positive{.least = 1, .most = 1 << 20};
  const Limits<std::int64_t> from_zero{.least = 0, .most = 1 << 20};
  const Limits<double> above_zero{.least = 0, .least_allowed = false};
  command.options = joined(
      {group(
           "Step",
           {number_option("dim", options->dim, positive, "", "dimension D of a sample"),
            number_option("layers", options->layers, positive, "", "number of linear layers"),
            text_option("model", options->model, "LINE", "layers in order, or a name",
                        "the layers in one line, as of relgrad train, in place of --dim, --layers "
                        "and --activation"),
            text_option("sample", options->sample, "CxHxW", "channels x height x width",
                        "shape of a sample of --model"),
            number_option("classes", options->classes, from_zero, "",
                          "number of classes, as of relgrad train --conditional; 0: none"),
            number_option("batch-size", options->batch_size,
                          Limits<std::int64_t>{.least = 1, .most = 1 << 24}, "samples",
                          "samples per step, of all ranks together"),
            number_option("ranks", options->ranks, from_zero, "ranks",
                          "number of ranks; 0: as many as were started"),
            number_option("threads", options->threads,
                          Limits<std::int64_t>{.least = 1, .most = 1024}, "threads",
                          "threads per rank"),
            choice_option("activation", options->activation,
                          {"spline", "smooth-leaky-relu", "leaky-tanh", "none"},
                          "element-wise map after each linear layer"),
            choice_option("optimizer", options->optimizer, {"adam", "momentum", "sgd", "natural"},
                          "update rule"),
            choice_option("precision", options->precision, {"float32", "float64"},
                          "number type of parameters and matrix products")}),
       group("Machine, as you describe it",
             {number_option("cores", options->cores, from_zero, "cores",
                            "number of cores of all ranks together; 0: one per thread"),
              number_option("gflops", options->gflops, above_zero, "GFLOP/s",
                            "speed of one thread in matrix products"),
              number_option("memory-gbps", options->memory_gbps, above_zero, "GB/s",
                            "memory bandwidth of one rank"),
              number_option("memory-gib", options->memory_gib, Limits<double>{.least = 0}, "GiB",
                            "memory limit per rank; 0: no limit"),
              number_option("link-gbps", options->link_gbps, above_zero, "Gbit/s",
                            "network bandwidth of one rank"),
              number_option("latency-us", options->latency_us, Limits<double>{.least = 0}, "us",
                            "latency of one message between two ranks")}),
       group(
           "Machine, as measured",
           {switch_option("measure", options->measure,
                          "measure computing rates here and, under mpirun, the network, instead of "
                          "using the options above"),
            switch_option("compare", options->compare,
                          "also time real steps with every exchange (float32 only)"),
            number_option("steps", options->steps, positive, "steps",
                          "with --compare: number of timed steps of each exchange"),
            choice_option("products", options->products, {"auto", "openblas", "onednn", "ordered"},
                          "library for matrix products"),
            place_option("json", options->json, "FILE", "a file, or - for standard output",
                         "also write the plan as JSON")})});
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
