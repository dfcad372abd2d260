#pragma once
/// What this process's threads could compute and move at most, measured: what a step's floor is
/// made of (ARCHITECTURE section 8).
#include <cstddef>
#include <memory>

namespace relgrad {

/// flops / s of single-precision fused multiply-adds on numbers that never leave the registers, all
/// threads (set_threads) together; a multiply-add counts as two. Takes some 2 ms.
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
  /// One piece of the arrays after the other, 48 MiB a call, so that calls are short and what they
  /// meet is not in cache.
  double measure();
  std::size_t bytes() const;  // of the three arrays

 private:
  struct Arrays;
  std::unique_ptr<Arrays> arrays_;
};

}  // namespace relgrad
