#pragma once
/// Options that evaluate, score and sample share: which model, and how it computes.
#include <fmt/format.h>

#include <string>
#include <vector>

#include "commands/evaluate.hpp"
#include "option.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad::cli {

template <class Options>
std::vector<Option> model_options(Options& options) {
  return group("Model", {text_option("run", options.run, "DIR", "a run directory",
                                     "use the best checkpoint of this run, or else"),
                         text_option("checkpoint", options.checkpoint, "DIR",
                                     "a checkpoint directory", "use this checkpoint")});
}

template <class Options>
std::vector<Option> computing_options(Options& options) {
  return group(
      "Computing",
      {number_option("threads", options.threads, Range<std::int64_t>{.least = 1, .most = 1024},
                     "threads", "per rank"),
       choice_option("products", options.products, {"auto", "openblas", "onednn"},
                     "library of matrix products; auto: the fastest built in"),
       number_option("row-groups", options.row_groups,
                     Range<std::int64_t>{.least = 0, .most = 1 << 20}, "ranks",
                     "that share every W by columns, for models too large for one rank; a divisor "
                     "of all, 0: all ranks"),
       number_option("seed", options.seed, Range<std::uint64_t>{}, "", "of the random draws")});
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
