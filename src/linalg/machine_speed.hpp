#pragma once
/// Measured limits of computing and of memory traffic for the threads of this process: the floor of
/// a step (docs/measured/performance-step.md).
#include <cstddef>
#include <memory>

namespace relgrad {

/// flops / s of single-precision fused multiply-adds on numbers that stay in registers, by all
/// threads (set_threads) together; a multiply-add counts as two. Takes about 2 ms.
double measure_peak_flops();

/// bytes / s, read and written, of a kernel that streams through three arrays as an optimizer does
/// (all three are read and written in place), all threads together.
class StreamingBandwidth {
 public:
  /// The arrays are four times the last level of cache, at least 192 MiB, at most 1 GiB together.
  StreamingBandwidth();
  ~StreamingBandwidth();
  StreamingBandwidth(const StreamingBandwidth&) = delete;
  StreamingBandwidth& operator=(const StreamingBandwidth&) = delete;
  /// Each call updates the next 48 MiB of the arrays, so that calls are short and their data not in
  /// cache.
  double measure();
  std::size_t bytes() const;  // of the three arrays

 private:
  struct Arrays;
  std::unique_ptr<Arrays> arrays_;
};

}  // namespace relgrad
