#include "relgrad/exchange/link_rates.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

namespace relgrad {

namespace {

constexpr int repetitions = 5;
constexpr double smallest_message = 64 << 10;  // bytes
constexpr double largest_message = 4 << 20;
// Where a time cannot be told from the latency.
constexpr double fastest = 1e12;  // bytes a second

/// One collective of `count` elements a rank.
using Collective = std::function<void(std::size_t count)>;

/// @param one_way  whether its seconds are those of one_way_seconds
CollectiveRate rate_of(const mpi::Communicator& comm, bool one_way, double message_bytes,
                       const Collective& collective) {
  const int ranks = comm.world_size();
  const double passes = one_way ? 1 : 2;
  const double hops = passes * std::ceil(std::log2(static_cast<double>(ranks)));
  const double bytes = std::clamp(message_bytes, smallest_message, largest_message);
  const auto count = static_cast<std::size_t>(bytes / sizeof(float) / ranks);
  const double latency = seconds_on_all_ranks(comm, [&] { collective(1); });
  const double seconds = seconds_on_all_ranks(comm, [&] { collective(count); });
  const double sent = passes * static_cast<double>(count * sizeof(float)) * (ranks - 1);
  return {latency / hops, sent / std::max(seconds - latency, sent / fastest)};
}

}  // namespace

double seconds_on_all_ranks(const mpi::Communicator& comm, const std::function<void()>& work) {
  work();  // first touch of memory, first use of a connection
  std::vector<double> seconds;
  for (int i = 0; i < repetitions; ++i) {
    comm.barrier();
    const auto start = std::chrono::steady_clock::now();
    work();
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  comm.allreduce_max(seconds);
  return std::ranges::min(seconds);  // what else goes on here only ever adds
}

LinkRates measure_link(const mpi::Communicator& comm, const StepShape& shape) {
  if (comm.world_size() == 1) return {};
  const auto ranks = static_cast<std::size_t>(comm.world_size());
  const double weights =
      static_cast<double>(shape.dimension * shape.dimension) * shape.element_bytes;
  const double samples =
      static_cast<double>(shape.dimension * shape.batch_size) * shape.element_bytes;
  std::vector<float> all(static_cast<std::size_t>(largest_message) / sizeof(float) + ranks);
  std::vector<float> other(all.size());
  const auto counts = [&](std::size_t count) {
    return std::vector<std::int64_t>(ranks, static_cast<std::int64_t>(count));
  };
  LinkRates rates;
  rates.allreduce = rate_of(comm, false, weights, [&](std::size_t count) {
    comm.allreduce_sum(std::span(all.data(), count * ranks));
  });
  rates.reduce_scatter = rate_of(comm, true, samples, [&](std::size_t count) {
    comm.reduce_scatter_sum(std::span<const float>(all.data(), count * ranks), counts(count),
                            std::span(other.data(), count));
  });
  rates.allgather = rate_of(comm, true, 2 * samples, [&](std::size_t count) {
    comm.allgather(std::span<const float>(other.data(), count),
                   std::span(all.data(), count * ranks), counts(count));
  });
  rates.alltoall = rate_of(comm, true, samples, [&](std::size_t count) {
    comm.alltoall(std::span<const float>(all.data(), count * ranks), counts(count),
                  std::span(other.data(), count * ranks), counts(count));
  });
  return rates;
}

LinkRates told_link(double bandwidth, double latency) {
  const CollectiveRate rate{latency, bandwidth};
  return {rate, rate, rate, rate};
}

}  // namespace relgrad
