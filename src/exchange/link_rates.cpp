#include "exchange/link_rates.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/stopwatch.hpp"

namespace relgrad {

namespace {

constexpr int repetitions = 9;
constexpr double smallest_message = 64 << 10;  // bytes
constexpr double largest_message = 4 << 20;    // that dense and sharded send (exchange.cpp)
constexpr double largest_gathered = 16 << 20;
// Where a time cannot be told from the latency.
constexpr double fastest = 1e12;  // bytes a second

/// One collective of `count` elements a rank.
using Collective = std::function<void(std::size_t count)>;

/// Of ranks that call collectives together, in every group of them at once.
class LinkMeter {
 public:
  LinkMeter(const mpi::Communicator& world, const mpi::Communicator& group)
      : world_(&world),
        group_(&group),
        ranks_(static_cast<std::size_t>(group.world_size())),
        all_(static_cast<std::size_t>(largest_gathered) / sizeof(float) + ranks_),
        other_(all_.size()) {}

  /// @param weights, samples, gathered  bytes of a W, of all ranks' samples of one layer, and of
  ///                                    what an allgather makes whole
  LinkRates measure(double weights, double samples, double gathered) {
    LinkRates rates;
    rates.allreduce = rate_of(false, std::min(weights, largest_message), [&](std::size_t count) {
      group_->allreduce_sum(std::span(all_.data(), count * ranks_));
    });
    rates.reduce_scatter =
        rate_of(true, std::min(samples, largest_message), [&](std::size_t count) {
          group_->reduce_scatter_sum(std::span<const float>(all_.data(), count * ranks_),
                                     counts(count), std::span(other_.data(), count));
        });
    rates.allgather = rate_of(true, std::min(gathered, largest_gathered), [&](std::size_t count) {
      group_->allgather(std::span<const float>(other_.data(), count),
                        std::span(all_.data(), count * ranks_), counts(count));
    });
    rates.alltoall = rate_of(true, std::min(samples, largest_message), [&](std::size_t count) {
      group_->alltoall(std::span<const float>(all_.data(), count * ranks_), counts(count),
                       std::span(other_.data(), count * ranks_), counts(count));
    });
    return rates;
  }

 private:
  std::vector<std::int64_t> counts(std::size_t count) const {
    return std::vector<std::int64_t>(ranks_, static_cast<std::int64_t>(count));
  }

  /// @param one_way  whether its seconds are those of one_way_seconds
  CollectiveRate rate_of(bool one_way, double message_bytes, const Collective& collective) const {
    const auto ranks = static_cast<double>(ranks_);
    const double passes = one_way ? 1 : 2;
    const double hops = passes * std::ceil(std::log2(ranks));
    const double bytes = std::max(message_bytes, smallest_message);
    const auto count = static_cast<std::size_t>(bytes / sizeof(float)) / ranks_;
    // What is usual, not what is best: a step meets both ways of a link and many connections.
    const double latency = seconds_on_all_ranks(*world_, [&] { collective(1); }).median;
    const double seconds = seconds_on_all_ranks(*world_, [&] { collective(count); }).median;
    const double sent = passes * static_cast<double>(count * sizeof(float)) * (ranks - 1);
    return {latency / hops, sent / std::max(seconds - latency, sent / fastest)};
  }

  const mpi::Communicator* world_;
  const mpi::Communicator* group_;
  std::size_t ranks_;
  std::vector<float> all_;
  std::vector<float> other_;
};

}  // namespace

Spread seconds_on_all_ranks(const mpi::Communicator& comm, const std::function<void()>& work) {
  work();  // first touch of memory, first use of a connection
  std::vector<double> seconds;
  for (int i = 0; i < repetitions; ++i) {
    comm.barrier();
    const Stopwatch watch;
    work();
    seconds.push_back(watch.seconds());
  }
  comm.allreduce_max(seconds);
  return spread_of(seconds);
}

GridLinks measure_links(const mpi::Communicator& comm, const StepShape& shape) {
  const int ranks = comm.world_size();
  if (ranks == 1) return {};
  const std::int64_t numbers =
      shape.layers > 0 ? shape.dimension * shape.dimension : shape.whole_parameters;
  const double weights = static_cast<double>(numbers) * shape.element_bytes;
  const double samples =
      static_cast<double>(shape.dimension * shape.batch_size) * shape.element_bytes;
  GridLinks links;
  links.all = LinkMeter(comm, comm).measure(weights, samples, samples);
  // Of every grid, as MpiRowGroup places it. Ranks that share W gather [Delta | Y], those with the
  // same columns the columns that each has updated.
  for (int r = 1; r <= ranks; ++r) {
    if (ranks % r != 0) continue;
    const double group_samples = samples * r / ranks;
    if (r > 1) {
      const mpi::Communicator sharing = comm.split(comm.rank() / r, comm.rank());
      links.sharing[r] =
          LinkMeter(comm, sharing).measure(weights / r, group_samples, 2 * group_samples);
    }
    if (r < ranks) {
      const mpi::Communicator same_columns = comm.split(comm.rank() % r, comm.rank());
      links.same_columns[r] =
          LinkMeter(comm, same_columns).measure(weights / r, samples, weights / r);
    }
  }
  return links;
}

GridLinks told_links(double bandwidth, double latency) {
  const CollectiveRate rate{latency, bandwidth};
  return {{rate, rate, rate, rate}, {}, {}};
}

}  // namespace relgrad
