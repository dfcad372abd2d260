#include "linalg/machine_speed.hpp"

#include <omp.h>
#include <unistd.h>

#include <algorithm>

#include "core/stopwatch.hpp"
#include "linalg/kernels/machine_speed_kernels.hpp"
#include "relgrad/core/huge_page_buffer.hpp"
#include "relgrad/core/partition.hpp"
#include "relgrad/core/types.hpp"

namespace relgrad {

namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20U;

/// Of one array.
std::size_t streamed_bytes() {
  const long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
  const std::size_t wanted = cache > 0 ? 4 * static_cast<std::size_t>(cache) / 3 : 0;
  return std::clamp(wanted, 64 * mebibyte, 341 * mebibyte) / (16 * mebibyte) * (16 * mebibyte);
}

}  // namespace

double measure_peak_flops() {
  constexpr long rounds = 500000;
  double flops = 0;
  double seconds = 0;  // of the slowest thread: all work at once
#pragma omp parallel reduction(+ : flops) reduction(max : seconds)
  {
    float sink = 0;
#pragma omp barrier
    const Stopwatch watch;
    flops += kernels::multiply_adds(rounds, &sink);
    seconds = std::max(seconds, watch.seconds());
    volatile float kept = sink;
    static_cast<void>(kept);
  }
  return flops / seconds;
}

struct StreamingBandwidth::Arrays {
  std::size_t count = streamed_bytes() / sizeof(float);
  std::size_t next = 0;
  HugePageBuffer<float> w{count};
  HugePageBuffer<float> m{count};
  HugePageBuffer<float> v{count};
};

StreamingBandwidth::StreamingBandwidth() : arrays_(std::make_unique<Arrays>()) {
  do {
    measure();  // touches every page
  } while (arrays_->next != 0);
}

StreamingBandwidth::~StreamingBandwidth() = default;

std::size_t StreamingBandwidth::bytes() const { return 3 * arrays_->count * sizeof(float); }

double StreamingBandwidth::measure() {
  Arrays& a = *arrays_;
  constexpr std::size_t piece = 8 * mebibyte / sizeof(float);
  const std::size_t begin = a.next;
  a.next = begin + piece < a.count ? begin + piece : 0;
  const Stopwatch watch;
#pragma omp parallel
  {
    const Range own =
        part_of(static_cast<Index>(piece), omp_get_thread_num(), omp_get_num_threads());
    const std::size_t first = begin + static_cast<std::size_t>(own.begin);
    kernels::stream(a.w.get() + first, a.m.get() + first, a.v.get() + first,
                    static_cast<std::size_t>(own.size()));
  }
  return static_cast<double>(6 * piece * sizeof(float)) / watch.seconds();
}

}  // namespace relgrad
