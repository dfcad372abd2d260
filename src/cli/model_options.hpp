#pragma once
/// Options that evaluate, score, encode and sample share: which model, and how it computes.
#include <fmt/format.h>

#include <string>
#include <vector>

#include "commands/evaluate.hpp"
#include "option.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad::cli {

template <class Options>
std::vector<Option> model_options(Options& options) {
  return group("Model",
               {place_option("run", options.run, "DIR", "a run directory",
                             "run whose best checkpoint is used; give this or --checkpoint"),
                place_option("checkpoint", options.checkpoint, "DIR", "a checkpoint directory",
                             "checkpoint to use; give this or --run")});
}

template <class Options>
std::vector<Option> computing_options(Options& options) {
  return group(
      "Computing",
      {number_option("threads", options.threads, Limits<std::int64_t>{.least = 1, .most = 1024},
                     "threads", "threads per rank"),
       choice_option("products", options.products, {"auto", "openblas", "onednn"},
                     "library for matrix products; auto: the fastest that is built in"),
       number_option("row-groups", options.row_groups,
                     Limits<std::int64_t>{.least = 0, .most = 1 << 20}, "ranks",
                     "number of ranks that share every W by columns, for models too large for one "
                     "rank; must divide the number of ranks; 0: all ranks"),
       number_option("seed", options.seed, Limits<std::uint64_t>{}, "",
                     "seed of the random draws")});
}

/// Of evaluate and score.
std::vector<Option> data_options(EvaluateOptions& options);

/// @throws UsageError unless exactly one of --run and --checkpoint is given.
template <class Options>
void require_one_model(const std::string& command, const Options& options) {
  if (options.run.empty() == options.checkpoint.empty()) {
    throw UsageError(fmt::format(
        "{}: {}; give either --run DIR or --checkpoint DIR", command,
        options.run.empty() ? "no model is named" : "both --run and --checkpoint are given"));
  }
}

}  // namespace relgrad::cli
