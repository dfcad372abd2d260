#include "train/dry_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <string_view>

#include "run/progress.hpp"
#include "run/run_directory.hpp"

namespace relgrad {

namespace {

constexpr double mib = 1024.0 * 1024.0;

std::string size_text(double bytes) {
  return bytes < 10 * mib ? fmt::format("{:.1f} MiB", bytes / mib)
                          : fmt::format("{:.0f} MiB", bytes / mib);
}

std::string seconds_text(double seconds) {
  return seconds < 60 ? fmt::format("{:.3g} s", seconds) : duration_text(seconds);
}

std::string memory_line(const DryRun& found, const TrainOptions& options) {
  const auto most = std::ranges::max_element(found.peak_bytes);
  std::string text = size_text(*most);
  if (found.peak_bytes.size() > 1) {
    text = fmt::format(
        "at most {} per rank (rank {}), {} by all", text, most - found.peak_bytes.begin(),
        size_text(std::accumulate(found.peak_bytes.begin(), found.peak_bytes.end(), 0.0)));
  }
  if (options.background_save) {  // a writer's part (checkpoint/plan.hpp)
    text += fmt::format("; up to {} more while a checkpoint is written",
                        size_text(std::min(found.checkpoint_bytes, 1024 * mib)));
  }
  if (found.available_bytes < 1e18) {
    text += fmt::format("; {} are free here", size_text(found.available_bytes));
  }
  return text;
}

/// Checkpoints that the run makes, and of those the ones that are there at its end.
struct Checkpoints {
  double made;
  double kept;
};

Checkpoints checkpoints_of(double run_s, const DryRun& found, const TrainOptions& options) {
  const double made = 1 + std::floor(run_s / options.save_every_seconds) + found.validations;
  const double for_good =
      options.keep_every > 0 ? std::ceil(made / static_cast<double>(options.keep_every)) : 0;
  return {made, std::min(made, static_cast<double>(options.keep_last) + 1 + for_good)};
}

}  // namespace

std::string describe(const DryRun& found, const TrainOptions& options) {
  const double run_s = found.steps * found.step_s + found.validations * found.validation_s;
  const Checkpoints checkpoints = checkpoints_of(run_s, found, options);
  constexpr double bytes_per_line = 1200;
  const double disk = checkpoints.kept * found.checkpoint_bytes + found.log_lines * bytes_per_line;
  std::string text = "dry run: nothing was written\n";
  const auto line = [&](std::string_view name, const std::string& value) {
    text += fmt::format("  {:<12} {}\n", name, value);
  };
  line("parameters", fmt::format("{}, {}", found.parameters, options.precision));
  line("memory", memory_line(found, options));
  line("step", found.timed_steps > 0
                   ? fmt::format("{} (mean of {}; the first: {})", seconds_text(found.step_s),
                                 found.timed_steps, seconds_text(found.first_step_s))
                   : fmt::format("{} (one, with what is done only once)",
                                 seconds_text(found.first_step_s)));
  line("epoch",
       fmt::format("{} for {:.0f} steps", seconds_text(found.steps_per_epoch * found.step_s),
                   found.steps_per_epoch));
  if (found.validation_s > 0) {
    line("validation",
         fmt::format("{}, {:.0f} of them", seconds_text(found.validation_s), found.validations));
  }
  line("run", fmt::format("about {} for {:.0f} steps{}", duration_text(run_s), found.steps,
                          found.validation_s > 0 ? " and the validations" : ""));
  line("checkpoint",
       fmt::format("{}; {:.0f} of about {:.0f} are kept", size_text(found.checkpoint_bytes),
                   checkpoints.kept, checkpoints.made));
  line("writes", fmt::format("{}: config.ini, STATUS, LATEST, metrics.jsonl, ckpt/{}{}",
                             options.run, found.draws_grids ? ", samples/" : "",
                             options.tensorboard ? ", event files" : ""));
  std::error_code error;
  const auto space = std::filesystem::space(nearest_directory(options.run), error);
  line("disk", fmt::format("about {}{}", size_text(disk),
                           error ? ""
                                 : fmt::format("; {} are free there",
                                               size_text(static_cast<double>(space.available)))));
  if (!error && static_cast<double>(space.available) < disk + found.checkpoint_bytes) {
    text +=
        "  NOT ENOUGH DISK: name another --run, or keep fewer checkpoints (--keep-last, "
        "--keep-every)\n";
  }
  return text;
}

}  // namespace relgrad
