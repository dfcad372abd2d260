#include "commands/audit_order.hpp"

#include <fmt/format.h>

#include <memory>

#include "command.hpp"
#include "model_options.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad::cli {

namespace {

std::vector<Option> step_options(AuditOrderOptions& options) {
  const Limits<std::int64_t> steps{.least = 0, .most = std::int64_t{1} << 40};
  return group(
      "Steps",
      {number_option("from-step", options.from_step, steps, "steps",
                     "first step to print; a run begins with step 0"),
       number_option("to-step", options.to_step, steps, "steps", "print the steps before this one"),
       number_option("ranks", options.ranks, Limits<std::int64_t>{.least = 1, .most = 1 << 20},
                     "ranks", "number of ranks; the part of each is shown"),
       switch_option("json", options.json, "print one JSON object per line")});
}

}  // namespace

Command audit_order_command() {
  const auto options = std::make_shared<AuditOrderOptions>();
  Command command;
  command.name = "audit-order";
  command.summary = "Prints which samples each step of a run consumes, without training.";
  command.usage = {"--run DIR --data DIR --from-step A --to-step B [--ranks P] [--json]",
                   "--checkpoint DIR --data DIR --from-step A --to-step B [--ranks P] [--json]"};
  command.examples = {
      {"relgrad audit-order --run runs/first --data data/images --from-step 10 --to-step 12",
       "rows of the training split in steps 10 and 11, in order"},
      {"relgrad audit-order --run runs/first --data data/images --from-step 10 --to-step 12 "
       "--ranks 2 --json",
       "the part of each of two ranks, as JSON"}};
  command.exit_codes = {0, 1, 2, 3, 4, 6, 8};
  command.options = joined(
      {group("Run",
             {place_option("run", options->run, "DIR", "a run directory",
                           "run whose newest checkpoint is read; give this or --checkpoint"),
              place_option("checkpoint", options->checkpoint, "DIR", "a checkpoint directory",
                           "checkpoint to read; give this or --run")}),
       group("Data", {place_option("data", options->data, "DIR", "a directory",
                                   "data set that the run was trained on")}),
       step_options(*options)});
  command.check = [options] {
    require_one_model("audit-order", *options);
    require("audit-order", "data", options->data, "the data set the run was trained on");
    if (options->to_step <= options->from_step) {
      throw UsageError(fmt::format("--to-step: {} is not after --from-step {}; try {}",
                                   options->to_step, options->from_step, options->from_step + 1));
    }
  };
  command.run_alone = [options]() -> std::optional<int> { return audit_order(*options); };
  return command;
}

}  // namespace relgrad::cli
