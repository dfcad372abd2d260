#include "run/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>

#include "relgrad/core/log.hpp"
#include "relgrad/likelihood/log_likelihood.hpp"

namespace relgrad {

std::string duration_text(double seconds) {
  const auto total = static_cast<std::int64_t>(std::llround(std::max(0.0, seconds)));
  const std::int64_t hours = total / 3600;
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, total / 60 % 60, total % 60);
  return fmt::format("{}:{:02}", total / 60, total % 60);
}

ProgressState progress_of(const RunState& state, const Metrics& metrics, double total_samples,
                          Index dimension) {
  ProgressState progress;
  progress.fraction = static_cast<double>(state.position.samples_consumed) / total_samples;
  progress.epoch = state.epochs_done();
  progress.epochs = total_samples / static_cast<double>(state.position.rows);
  progress.step = state.step;
  progress.train_bits_per_dim = bits_per_dim(metrics.last_log_likelihood(), dimension);
  progress.train_is_exact = state.log_abs_det_step + 1 >= state.step;
  progress.val_bits_per_dim = state.last_val_bits_per_dim;
  progress.samples_per_s = metrics.last_samples_per_s();
  return progress;
}

RunProgress::RunProgress(bool enabled)
    : enabled_(enabled),
      terminal_(isatty(STDERR_FILENO) != 0),
      start_(Clock::now()),
      last_(start_) {}

void RunProgress::show(const ProgressState& state, bool now) {
  if (!enabled_) return;
  if (first_fraction_ < 0) {
    first_fraction_ = state.fraction;
    start_ = Clock::now();
  }
  const auto interval =
      terminal_ ? std::chrono::milliseconds(200) : std::chrono::milliseconds(30000);
  if (!now && Clock::now() - last_ < interval) return;
  last_ = Clock::now();

  const double elapsed = std::chrono::duration<double>(last_ - start_).count();
  const double done = state.fraction - first_fraction_;
  std::string text =
      fmt::format("epoch {:.2f}/{:.4g}  step {}", state.epoch, state.epochs, state.step);
  if (std::isfinite(state.train_bits_per_dim)) {
    text +=
        fmt::format("  train {}{:.4f}", state.train_is_exact ? "" : "~", state.train_bits_per_dim);
  }
  if (std::isfinite(state.val_bits_per_dim)) {
    text += fmt::format("  val {:.4f}", state.val_bits_per_dim);
  }
  text += fmt::format(" bits/dim  {:.0f} samples/s", state.samples_per_s);
  if (done > 0) {
    text += fmt::format("  {} left", duration_text(elapsed * (1.0 - state.fraction) / done));
  }
  if (terminal_) {
    write_log("\r\x1b[K" + text);
    line_open_ = true;
  } else {
    write_log(text + "\n");
  }
}

void RunProgress::end_line() {
  if (line_open_) write_log("\n");
  line_open_ = false;
}

}  // namespace relgrad
