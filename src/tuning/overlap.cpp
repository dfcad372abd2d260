#include "tuning/overlap.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cmath>

#include "relgrad/core/error.hpp"
#include "relgrad/mpi/agreement.hpp"
#include "relgrad/mpi/session.hpp"

namespace relgrad {

namespace {

/// "HOST 0110" of this rank.
std::string place() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof(set), &set);
  std::string cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) cpus += CPU_ISSET(cpu, &set) ? '1' : '0';
  return mpi::host_name() + " " + cpus;
}

/// Why `auto` is off, in a few words; empty: it is on.
std::string why_auto_is_off(const TrainOptions& options, std::string_view exchange,
                            const mpi::Communicator& comm) {
  if (comm.world_size() == 1) return "one rank";
  if (options.layers == 1) return "one layer";
  if (exchange == "row") return "row exchange";
  if (options.clip_norm > 0) return "clipping needs the whole gradient";
  if (!mpi::serves_every_thread()) return "this MPI serves one thread alone";
  if (options.gradient == "plain" && options.inverse_every == 1) {
    return "the plain gradient holds one inverse at a time";
  }
  const std::vector<std::string> places = comm.allgather_strings(place());
  double least = HUGE_VAL;
  for (std::size_t rank = 0; rank < places.size(); ++rank) {
    least = std::min(least, own_cpus(places, rank));
  }
  const auto wanted = static_cast<double>(options.threads + 1);
  constexpr double rounding = 1e-6;  // thirds of CPUs
  if (least + rounding >= wanted) return "";
  return fmt::format("{:.3g} CPU{} per rank, {} needed", least, least == 1 ? "" : "s", wanted);
}

}  // namespace

std::string why_not_overlapped(std::string_view exchange, double clip_norm) {
  if (exchange == "row") {
    return "the row exchange sends in the backward pass itself; leave --overlap at auto, or use "
           "--exchange sharded or factor";
  }
  if (clip_norm > 0) {
    return "--clip-norm needs the whole gradient before anything moves; leave --overlap at auto, "
           "or leave --clip-norm out";
  }
  if (!mpi::serves_every_thread()) {
    return "this MPI serves one thread alone (no MPI_THREAD_SERIALIZED); leave --overlap at auto";
  }
  return "";
}

double own_cpus(const std::vector<std::string>& places, std::size_t rank) {
  const std::string& mine = places[rank];
  const std::size_t first = mine.find(' ') + 1;
  double cpus = 0;
  for (std::size_t i = first; i < mine.size(); ++i) {
    if (mine[i] != '1') continue;
    cpus += 1.0 / static_cast<double>(std::ranges::count_if(places, [&](const auto& other) {
              return other.size() == mine.size() && other[i] == '1' &&
                     other.starts_with(mine.substr(0, first));
            }));
  }
  return cpus;
}

OverlapChoice choose_overlap(const TrainOptions& options, std::string_view exchange,
                             const mpi::Communicator& comm) {
  if (options.overlap == "off") return {false, "--overlap off"};
  if (options.overlap == "on") {
    const std::string reason = why_not_overlapped(exchange, options.clip_norm);
    if (!reason.empty()) mpi::throw_on_all_ranks(UsageError("--overlap: on: " + reason));
    return {true, ""};
  }
  const std::string reason = why_auto_is_off(options, exchange, comm);
  return {reason.empty(), reason};
}

}  // namespace relgrad
