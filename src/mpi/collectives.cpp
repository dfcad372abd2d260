#include "mpi/collectives.hpp"

#include <algorithm>
#include <array>

#include "relgrad/core/partition.hpp"

namespace relgrad::mpi {

namespace {

struct Place {
  int rank = 0;
  int ranks = 1;
};
Place place_in(MPI_Comm comm) {
  Place place;
  check(MPI_Comm_rank(comm, &place.rank), "MPI_Comm_rank");
  check(MPI_Comm_size(comm, &place.ranks), "MPI_Comm_size");
  return place;
}

template <class T>
MPI_Datatype type_of() {
  return sizeof(T) == sizeof(float) ? MPI_FLOAT : MPI_DOUBLE;
}

/// Whether so many bytes in all are long.
bool is_long(std::size_t bytes, std::size_t ranks) {
  constexpr std::size_t least_part = std::size_t{16} << 10U;
  return ranks > 1 && bytes >= least_part * ranks;
}

template <class T>
std::vector<std::span<T>> parts_of(std::span<T> all, std::span<const std::int64_t> counts) {
  std::vector<std::span<T>> parts;
  for (const std::int64_t count : counts) {
    parts.push_back(all.first(static_cast<std::size_t>(count)));
    all = all.subspan(parts.back().size());
  }
  return parts;
}

/// Counts of short parts and where they begin, as MPI wants them.
struct Counts {
  std::vector<int> count;
  std::vector<int> begin;
  explicit Counts(std::span<const std::int64_t> counts) : count(counts.begin(), counts.end()) {
    int total = 0;
    for (const int here : count) {
      begin.push_back(total);
      total += here;
    }
  }
};

template <class T>
std::vector<std::span<const std::byte>> to_send(const std::vector<std::span<const T>>& parts) {
  std::vector<std::span<const std::byte>> bytes;
  for (const auto part : parts) bytes.push_back(std::as_bytes(part));
  return bytes;
}
template <class T>
std::vector<std::span<std::byte>> to_receive(const std::vector<std::span<T>>& parts) {
  std::vector<std::span<std::byte>> bytes;
  for (const auto part : parts) bytes.push_back(std::as_writable_bytes(part));
  return bytes;
}

/// sum[i] = terms[0][i] + terms[1][i] + ..., in this order; `sum` may be one of the terms.
template <class T>
void add_up(const std::vector<const T*>& terms, std::span<T> sum) {
  std::array<T, 2048> block;  // stays in cache
  for (std::size_t begin = 0; begin < sum.size(); begin += block.size()) {
    const std::size_t count = std::min(block.size(), sum.size() - begin);
    std::copy_n(terms[0] + begin, count, block.begin());
    for (std::size_t r = 1; r < terms.size(); ++r) {
      const T* const term = terms[r] + begin;
      for (std::size_t i = 0; i < count; ++i) block[i] += term[i];
    }
    std::copy_n(block.begin(), count, sum.begin() + static_cast<std::ptrdiff_t>(begin));
  }
}

template <class T>
void sum_long_parts(MPI_Comm comm, std::span<const T> values, std::span<const std::int64_t> counts,
                    std::span<T> mine, std::vector<std::byte>& room) {
  const auto own = static_cast<std::size_t>(place_in(comm).rank);
  const auto parts = parts_of(values, counts);
  room.resize(std::max(room.size(), parts.size() * mine.size_bytes()));
  T* const first = reinterpret_cast<T*>(room.data());
  std::vector<std::span<T>> received;
  std::vector<const T*> terms;
  for (std::size_t r = 0; r < parts.size(); ++r) {
    received.emplace_back(first + r * mine.size(), mine.size());
    terms.push_back(r == own ? parts[r].data() : received[r].data());
  }
  exchange_in_pieces(comm, to_send(parts), to_receive(received));
  add_up(terms, mine);
}

}  // namespace

template <class T>
void gather_parts(MPI_Comm comm, std::span<const T> mine, std::span<T> all,
                  std::span<const std::int64_t> counts) {
  const auto parts = parts_of(all, counts);
  const std::span<T> own = parts[static_cast<std::size_t>(place_in(comm).rank)];
  const bool in_place = mine.data() == own.data();
  if (is_long(all.size_bytes(), counts.size())) {
    const std::span<const std::byte> bytes = std::as_bytes(mine);
    exchange_in_pieces(comm, std::vector(counts.size(), bytes), to_receive(parts));
    if (!in_place) std::ranges::copy(mine, own.begin());
    return;
  }
  const Counts c(counts);
  check(
      MPI_Allgatherv(in_place ? MPI_IN_PLACE : mine.data(), static_cast<int>(mine.size()),
                     type_of<T>(), all.data(), c.count.data(), c.begin.data(), type_of<T>(), comm),
      "MPI_Allgatherv");
}

// Always in pieces: how much travels in all, no rank can tell.
template <class T>
void exchange_parts(MPI_Comm comm, std::span<const T> send,
                    std::span<const std::int64_t> send_counts, std::span<T> received,
                    std::span<const std::int64_t> receive_counts) {
  const auto sent = parts_of(send, send_counts);
  const auto arrives = parts_of(received, receive_counts);
  exchange_in_pieces(comm, to_send(sent), to_receive(arrives));
  const auto own = static_cast<std::size_t>(place_in(comm).rank);
  std::ranges::copy(sent[own], arrives[own].begin());
}

template <class T>
void sum_parts(MPI_Comm comm, std::span<const T> values, std::span<const std::int64_t> counts,
               std::span<T> mine, std::vector<std::byte>& room) {
  if (is_long(values.size_bytes(), counts.size())) {
    sum_long_parts(comm, values, counts, mine, room);
    return;
  }
  const Counts c(counts);
  check(MPI_Reduce_scatter(values.data(), mine.data(), c.count.data(), type_of<T>(), MPI_SUM, comm),
        "MPI_Reduce_scatter");
}

template <class T>
void sum_over_ranks(MPI_Comm comm, std::span<T> values, std::vector<std::byte>& room) {
  const auto [rank, ranks] = place_in(comm);
  if (ranks == 1) return;
  if (!is_long(values.size_bytes(), static_cast<std::size_t>(ranks))) {
    check(MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(values.size()), type_of<T>(),
                        MPI_SUM, comm),
          "MPI_Allreduce");
    return;
  }
  // Each rank sums a part, and all gather the parts.
  std::vector<std::int64_t> counts;
  for (int r = 0; r < ranks; ++r) {
    counts.push_back(part_of(static_cast<std::int64_t>(values.size()), r, ranks).size());
  }
  const std::span<T> mine = parts_of(values, counts)[static_cast<std::size_t>(rank)];
  sum_long_parts(comm, std::span<const T>(values), counts, mine, room);
  gather_parts(comm, std::span<const T>(mine), values, counts);
}

#define RELGRAD_INSTANTIATE(T)                                                              \
  template void gather_parts(MPI_Comm, std::span<const T>, std::span<T>,                    \
                             std::span<const std::int64_t>);                                \
  template void exchange_parts(MPI_Comm, std::span<const T>, std::span<const std::int64_t>, \
                               std::span<T>, std::span<const std::int64_t>);                \
  template void sum_parts(MPI_Comm, std::span<const T>, std::span<const std::int64_t>,      \
                          std::span<T>, std::vector<std::byte>&);                           \
  template void sum_over_ranks(MPI_Comm, std::span<T>, std::vector<std::byte>&);
RELGRAD_INSTANTIATE(float)
RELGRAD_INSTANTIATE(double)

}  // namespace relgrad::mpi
