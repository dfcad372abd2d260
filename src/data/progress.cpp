#include "data/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include "relgrad/core/log.hpp"

namespace relgrad {

Progress::Progress(std::string what, std::uint64_t total)
    : what_(std::move(what)),
      total_(total),
      terminal_(::isatty(STDERR_FILENO) == 1),
      begin_(Clock::now()),
      last_(begin_) {}

Progress::~Progress() {
  if (shown_ && terminal_) write_log("\n");
}

std::string Progress::line(double seconds) const {
  const auto done = static_cast<double>(done_);
  const auto total = static_cast<double>(total_);
  const double rate = done / seconds;
  return fmt::format("{}: {} of {} rows ({:.0f}%), {:.0f} rows/s, {:.0f} s left", what_, done_,
                     total_, 100 * done / total, rate, (total - done) / rate);
}

void Progress::add(std::uint64_t rows) {
  done_ += rows;
  const auto now = Clock::now();
  const std::chrono::duration<double> since = now - last_;
  const std::chrono::duration<double> all = now - begin_;
  const bool last_of_shown = shown_ && terminal_ && done_ == total_;
  if (since.count() < (terminal_ ? 0.5 : 10.0) && !last_of_shown) return;
  last_ = now;
  shown_ = true;
  if (terminal_) {
    write_log(fmt::format("\r\033[Krelgrad: {}", line(all.count())));
  } else {
    log_info(line(all.count()));
  }
}

}  // namespace relgrad
