#pragma once
/// Rows, rate and time left on standard error: a line that renews itself on a terminal, one line
/// about every ten seconds elsewhere.
#include <chrono>
#include <cstdint>
#include <string>

namespace relgrad {

class Progress {
 public:
  Progress(std::string what, std::uint64_t total);
  ~Progress();  // ends the line on a terminal
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void add(std::uint64_t rows);

 private:
  using Clock = std::chrono::steady_clock;
  std::string line(double seconds) const;

  std::string what_;
  std::uint64_t total_;
  std::uint64_t done_ = 0;
  bool terminal_;
  bool shown_ = false;
  Clock::time_point begin_;
  Clock::time_point last_;
};

}  // namespace relgrad
