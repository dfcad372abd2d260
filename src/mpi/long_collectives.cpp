#include "mpi/long_collectives.hpp"

#include <algorithm>
#include <array>

#include "relgrad/core/partition.hpp"

namespace relgrad::mpi {

namespace {

/// Whether messages of so many bytes in all go by pairs.
bool go_by_pairs(const Ranks& ranks, std::size_t bytes) {
  constexpr std::size_t least_part = std::size_t{16} << 10U;
  return ranks.by_pairs && bytes >= least_part * static_cast<std::size_t>(ranks.size);
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

}  // namespace

Ranks ranks_of(MPI_Comm comm) {
  Ranks ranks{comm};
  check(MPI_Comm_rank(comm, &ranks.rank), "MPI_Comm_rank");
  check(MPI_Comm_size(comm, &ranks.size), "MPI_Comm_size");
  if (ranks.size == 1) return ranks;
  MPI_Comm node = MPI_COMM_NULL;
  check(MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, ranks.rank, MPI_INFO_NULL, &node),
        "MPI_Comm_split_type");
  int here = 1;
  check(MPI_Comm_size(node, &here), "MPI_Comm_size");
  check(MPI_Comm_free(&node), "MPI_Comm_free");
  int most = here;
  check(MPI_Allreduce(MPI_IN_PLACE, &most, 1, MPI_INT, MPI_MAX, comm), "MPI_Allreduce");
  ranks.by_pairs = most == 1 || most == ranks.size;
  return ranks;
}

template <class T>
bool gather_by_pairs(const Ranks& ranks, std::span<const T> mine, std::span<T> all,
                     std::span<const std::int64_t> counts) {
  if (!go_by_pairs(ranks, all.size_bytes())) return false;
  const auto parts = parts_of(all, counts);
  const std::span<T> own = parts[static_cast<std::size_t>(ranks.rank)];
  const std::span<const std::byte> bytes = std::as_bytes(mine);
  exchange_in_pieces(ranks.comm, std::vector(parts.size(), bytes), to_receive(parts));
  if (mine.data() != own.data()) std::ranges::copy(mine, own.begin());
  return true;
}

template <class T>
void exchange_by_pairs(const Ranks& ranks, std::span<const T> send,
                       std::span<const std::int64_t> send_counts, std::span<T> received,
                       std::span<const std::int64_t> receive_counts) {
  const auto sent = parts_of(send, send_counts);
  const auto arrives = parts_of(received, receive_counts);
  exchange_in_pieces(ranks.comm, to_send(sent), to_receive(arrives));
  const auto own = static_cast<std::size_t>(ranks.rank);
  std::ranges::copy(sent[own], arrives[own].begin());
}

template <class T>
bool sum_parts_by_pairs(const Ranks& ranks, std::span<const T> values,
                        std::span<const std::int64_t> counts, std::span<T> mine,
                        std::vector<std::byte>& room) {
  if (!go_by_pairs(ranks, values.size_bytes())) return false;
  const auto own = static_cast<std::size_t>(ranks.rank);
  const auto parts = parts_of(values, counts);
  room.resize(std::max(room.size(), parts.size() * mine.size_bytes()));
  T* const first = reinterpret_cast<T*>(room.data());
  std::vector<std::span<T>> received;
  std::vector<const T*> terms;
  for (std::size_t r = 0; r < parts.size(); ++r) {
    received.emplace_back(first + r * mine.size(), mine.size());
    terms.push_back(r == own ? parts[r].data() : received[r].data());
  }
  exchange_in_pieces(ranks.comm, to_send(parts), to_receive(received));
  add_up(terms, mine);
  return true;
}

template <class T>
bool sum_by_pairs(const Ranks& ranks, std::span<T> values, std::vector<std::byte>& room) {
  if (!go_by_pairs(ranks, values.size_bytes())) return false;
  std::vector<std::int64_t> counts;
  for (int r = 0; r < ranks.size; ++r) {
    counts.push_back(part_of(static_cast<std::int64_t>(values.size()), r, ranks.size).size());
  }
  const std::span<T> mine = parts_of(values, counts)[static_cast<std::size_t>(ranks.rank)];
  return sum_parts_by_pairs(ranks, std::span<const T>(values), counts, mine, room) &&
         gather_by_pairs(ranks, std::span<const T>(mine), values, counts);
}

#define RELGRAD_INSTANTIATE(T)                                                                     \
  template bool gather_by_pairs(const Ranks&, std::span<const T>, std::span<T>,                    \
                                std::span<const std::int64_t>);                                    \
  template void exchange_by_pairs(const Ranks&, std::span<const T>, std::span<const std::int64_t>, \
                                  std::span<T>, std::span<const std::int64_t>);                    \
  template bool sum_parts_by_pairs(const Ranks&, std::span<const T>,                               \
                                   std::span<const std::int64_t>, std::span<T>,                    \
                                   std::vector<std::byte>&);                                       \
  template bool sum_by_pairs(const Ranks&, std::span<T>, std::vector<std::byte>&);
RELGRAD_INSTANTIATE(float)
RELGRAD_INSTANTIATE(double)

}  // namespace relgrad::mpi
