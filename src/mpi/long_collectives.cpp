#include "mpi/long_collectives.hpp"

#include <algorithm>
#include <array>

#include "mpi/pieces.hpp"
#include "relgrad/core/partition.hpp"

namespace relgrad::mpi {

bool go_by_pairs(const Levels& levels, std::size_t bytes) {
  constexpr std::size_t least_part = std::size_t{16} << 10U;
  return levels.are_even() && levels.size() > 1 &&
         bytes >= least_part * static_cast<std::size_t>(levels.size());
}

namespace {

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

/// sent[r] goes to rank r of `comm`; the sum of what all have sent to this rank, itself among them,
/// comes into `sum`. @param room  for as many numbers as all of them have
template <class T>
void sum_what_arrives(MPI_Comm comm, const std::vector<std::span<const T>>& sent, std::span<T> sum,
                      T* room) {
  int rank = 0;
  check(MPI_Comm_rank(comm, &rank), "MPI_Comm_rank");
  std::vector<std::span<T>> arrives;
  std::vector<const T*> terms;
  for (std::size_t r = 0; r < sent.size(); ++r) {
    arrives.emplace_back(room + r * sum.size(), sum.size());
    terms.push_back(r == static_cast<std::size_t>(rank) ? sent[r].data() : arrives[r].data());
  }
  exchange_in_pieces(comm, to_send(sent), to_receive(arrives));
  add_up(terms, sum);
}

}  // namespace

template <class T>
void gather_by_pairs(const Levels& levels, std::span<const T> mine, std::span<T> all,
                     std::span<const std::int64_t> counts) {
  const auto parts = parts_of(all, counts);
  const std::span<T> own = parts[static_cast<std::size_t>(levels.rank())];
  if (mine.data() != own.data()) std::ranges::copy(mine, own.begin());
  std::vector<std::span<T>> rail;
  for (int n = 0; n < levels.nodes(); ++n) rail.push_back(parts[levels.on_rail(n)]);
  exchange_in_pieces(levels.rail(), std::vector(rail.size(), std::as_bytes(mine)),
                     to_receive(rail));
  for (int n = 0; n < levels.nodes(); ++n) {  // what came along this rail, to this node
    std::vector<std::span<T>> node;
    for (int p = 0; p < levels.places(); ++p) node.push_back(parts[levels.on_node(n, p)]);
    const std::span<const std::byte> bytes = std::as_bytes(rail[static_cast<std::size_t>(n)]);
    exchange_in_pieces(levels.node(), std::vector(node.size(), bytes), to_receive(node));
  }
}

template <class T>
void sum_parts_by_pairs(const Levels& levels, std::span<const T> values,
                        std::span<const std::int64_t> counts, std::span<T> mine,
                        std::vector<std::byte>& room) {
  const auto parts = parts_of(values, counts);
  const auto nodes = static_cast<std::size_t>(levels.nodes());
  const auto places = static_cast<std::size_t>(levels.places());
  std::size_t most = 0;
  for (const auto& part : parts) most = std::max(most, part.size());
  room.resize(std::max(room.size(), (nodes + std::max(nodes, places)) * most * sizeof(T)));
  T* const of_nodes = reinterpret_cast<T*>(room.data());
  T* const arriving = of_nodes + nodes * most;
  // Of what this rank's rail needs, the sums over this node.
  std::vector<std::span<const T>> sums;
  for (int n = 0; n < levels.nodes(); ++n) {
    if (places == 1) {
      sums.push_back(parts[levels.on_rail(n)]);
      continue;
    }
    std::vector<std::span<const T>> sent;
    for (int p = 0; p < levels.places(); ++p) sent.push_back(parts[levels.on_node(n, p)]);
    const std::span<T> sum(of_nodes + static_cast<std::size_t>(n) * most,
                           parts[levels.on_rail(n)].size());
    sum_what_arrives(levels.node(), sent, sum, arriving);
    sums.push_back(sum);
  }
  sum_what_arrives(levels.rail(), sums, mine, arriving);
}

template <class T>
void sum_by_pairs(const Levels& levels, std::span<T> values, std::vector<std::byte>& room) {
  std::vector<std::int64_t> counts;
  for (int r = 0; r < levels.size(); ++r) {
    counts.push_back(part_of(static_cast<std::int64_t>(values.size()), r, levels.size()).size());
  }
  const std::span<T> mine = parts_of(values, counts)[static_cast<std::size_t>(levels.rank())];
  sum_parts_by_pairs(levels, std::span<const T>(values), counts, mine, room);
  gather_by_pairs(levels, std::span<const T>(mine), values, counts);
}

template <class T>
void exchange_by_pairs(const Levels& levels, std::span<const T> send,
                       std::span<const std::int64_t> send_counts, std::span<T> received,
                       std::span<const std::int64_t> receive_counts) {
  const auto sent = parts_of(send, send_counts);
  const auto arrives = parts_of(received, receive_counts);
  exchange_in_pieces(levels.comm(), to_send(sent), to_receive(arrives));
  const auto own = static_cast<std::size_t>(levels.rank());
  std::ranges::copy(sent[own], arrives[own].begin());
}

#define RELGRAD_INSTANTIATE(T)                                                      \
  template void gather_by_pairs(const Levels&, std::span<const T>, std::span<T>,    \
                                std::span<const std::int64_t>);                     \
  template void sum_parts_by_pairs(const Levels&, std::span<const T>,               \
                                   std::span<const std::int64_t>, std::span<T>,     \
                                   std::vector<std::byte>&);                        \
  template void sum_by_pairs(const Levels&, std::span<T>, std::vector<std::byte>&); \
  template void exchange_by_pairs(const Levels&, std::span<const T>,                \
                                  std::span<const std::int64_t>, std::span<T>,      \
                                  std::span<const std::int64_t>);
RELGRAD_INSTANTIATE(float)
RELGRAD_INSTANTIATE(double)

}  // namespace relgrad::mpi
