#include "relgrad/mpi/communicator.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <limits>

#include "mpi/long_collectives.hpp"

namespace relgrad::mpi {

struct Communicator::Handle {
  MPI_Comm comm = MPI_COMM_NULL;
  std::unique_ptr<Levels> levels;
  std::vector<std::byte> room;  // of sums: what the other ranks have sent
  explicit Handle(MPI_Comm owned) : comm(owned) {}
  ~Handle() {
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (finalized == 0 && comm != MPI_COMM_NULL) MPI_Comm_free(&comm);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
};

Communicator Communicator::world() {
  MPI_Comm duplicate = MPI_COMM_NULL;
  check(MPI_Comm_dup(MPI_COMM_WORLD, &duplicate), "MPI_Comm_dup");
  auto handle = std::make_unique<Handle>(duplicate);
  check(MPI_Comm_set_errhandler(duplicate, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  return Communicator(std::move(handle));
}

Communicator Communicator::split(int color, int key) const {
  MPI_Comm part = MPI_COMM_NULL;
  check(MPI_Comm_split(handle_->comm, color, key, &part), "MPI_Comm_split");
  auto handle = std::make_unique<Handle>(part);
  check(MPI_Comm_set_errhandler(part, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  return Communicator(std::move(handle));
}

Communicator::Communicator(std::unique_ptr<Handle> handle) : handle_(std::move(handle)) {
  check(MPI_Comm_rank(handle_->comm, &rank_), "MPI_Comm_rank");
  check(MPI_Comm_size(handle_->comm, &world_size_), "MPI_Comm_size");
  handle_->levels = std::make_unique<Levels>(handle_->comm);
}
Communicator::~Communicator() = default;
Communicator::Communicator(Communicator&&) noexcept = default;
Communicator& Communicator::operator=(Communicator&&) noexcept = default;

// A rank alone has nobody to meet. MPI would look for messages all the same and, where waiting
// ranks yield (waiting.hpp), give the CPU away each time: on a busy machine that costs a turn.
void Communicator::barrier() const {
  if (world_size_ == 1) return;
  check(MPI_Barrier(handle_->comm), "MPI_Barrier");
}

namespace {

// MPI counts are int: longer spans travel in pieces of this many elements.
constexpr std::size_t largest_message = std::size_t{1} << 28U;

template <class T>
void allreduce(MPI_Comm comm, std::span<T> values, MPI_Datatype type, MPI_Op op) {
  int size = 1;
  check(MPI_Comm_size(comm, &size), "MPI_Comm_size");
  if (size == 1) return;
  for (std::size_t begin = 0; begin < values.size(); begin += largest_message) {
    const auto piece = values.subspan(begin, std::min(largest_message, values.size() - begin));
    check(MPI_Allreduce(MPI_IN_PLACE, piece.data(), static_cast<int>(piece.size()), type, op, comm),
          "MPI_Allreduce");
  }
}

}  // namespace

void Communicator::allreduce_sum(std::span<float> values) const {
  if (go_by_pairs(*handle_->levels, values.size_bytes())) {
    sum_by_pairs(*handle_->levels, values, handle_->room);
  } else {
    allreduce(handle_->comm, values, MPI_FLOAT, MPI_SUM);
  }
}
void Communicator::allreduce_sum(std::span<double> values) const {
  if (go_by_pairs(*handle_->levels, values.size_bytes())) {
    sum_by_pairs(*handle_->levels, values, handle_->room);
  } else {
    allreduce(handle_->comm, values, MPI_DOUBLE, MPI_SUM);
  }
}
void Communicator::allreduce_sum(std::span<std::int64_t> values) const {
  allreduce(handle_->comm, values, MPI_INT64_T, MPI_SUM);
}
void Communicator::allreduce_max(std::span<double> values) const {
  allreduce(handle_->comm, values, MPI_DOUBLE, MPI_MAX);
}
void Communicator::allreduce_min(std::span<std::int64_t> values) const {
  allreduce(handle_->comm, values, MPI_INT64_T, MPI_MIN);
}

void Communicator::broadcast(std::span<std::byte> bytes, int root) const {
  if (world_size_ == 1) return;
  for (std::size_t begin = 0; begin < bytes.size(); begin += largest_message) {
    const auto piece = bytes.subspan(begin, std::min(largest_message, bytes.size() - begin));
    check(MPI_Bcast(piece.data(), static_cast<int>(piece.size()), MPI_BYTE, root, handle_->comm),
          "MPI_Bcast");
  }
}

std::string Communicator::broadcast_string(const std::string& text, int root) const {
  std::int64_t size = static_cast<std::int64_t>(text.size());
  broadcast(std::as_writable_bytes(std::span(&size, 1)), root);
  std::string result = rank_ == root ? text : std::string(static_cast<std::size_t>(size), '\0');
  broadcast(std::as_writable_bytes(std::span(result.data(), result.size())), root);
  return result;
}

std::vector<std::string> Communicator::allgather_strings(const std::string& text) const {
  if (world_size_ == 1) return {text};
  const int size = static_cast<int>(text.size());
  std::vector<int> sizes(static_cast<std::size_t>(world_size_));
  check(MPI_Allgather(&size, 1, MPI_INT, sizes.data(), 1, MPI_INT, handle_->comm), "MPI_Allgather");
  std::vector<int> begins(sizes.size(), 0);
  for (std::size_t i = 1; i < sizes.size(); ++i) begins[i] = begins[i - 1] + sizes[i - 1];
  std::string all(static_cast<std::size_t>(begins.back() + sizes.back()), '\0');
  check(MPI_Allgatherv(text.data(), size, MPI_CHAR, all.data(), sizes.data(), begins.data(),
                       MPI_CHAR, handle_->comm),
        "MPI_Allgatherv");
  std::vector<std::string> result;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    result.push_back(
        all.substr(static_cast<std::size_t>(begins[i]), static_cast<std::size_t>(sizes[i])));
  }
  return result;
}

std::vector<double> Communicator::allgather(double value) const {
  if (world_size_ == 1) return {value};
  std::vector<double> values(static_cast<std::size_t>(world_size_));
  check(MPI_Allgather(&value, 1, MPI_DOUBLE, values.data(), 1, MPI_DOUBLE, handle_->comm),
        "MPI_Allgather");
  return values;
}

namespace {

template <class T>
MPI_Datatype type_of() {
  return sizeof(T) == sizeof(float) ? MPI_FLOAT : MPI_DOUBLE;
}

/// MPI's counts and displacements are int: its own collectives refuse more than 2^31 elements.
struct Counts {
  std::vector<int> count;
  std::vector<int> begin;
  explicit Counts(std::span<const std::int64_t> counts) {
    std::int64_t total = 0;
    for (const std::int64_t value : counts) {
      begin.push_back(static_cast<int>(total));
      count.push_back(static_cast<int>(value));
      total += value;
    }
    if (total > std::numeric_limits<int>::max()) {
      throw Error(ExitCode::internal,
                  fmt::format("a collective of {} elements is larger than MPI's 2^31", total));
    }
  }
};

template <class T>
void gather_parts(const Levels& levels, std::span<const T> mine, std::span<T> all,
                  std::span<const std::int64_t> counts) {
  if (go_by_pairs(levels, all.size_bytes())) return gather_by_pairs(levels, mine, all, counts);
  const Counts c(counts);
  const bool in_place =
      mine.data() == all.data() + c.begin[static_cast<std::size_t>(levels.rank())];
  check(MPI_Allgatherv(in_place ? MPI_IN_PLACE : mine.data(), static_cast<int>(mine.size()),
                       type_of<T>(), all.data(), c.count.data(), c.begin.data(), type_of<T>(),
                       levels.comm()),
        "MPI_Allgatherv");
}

template <class T>
void sum_parts(const Levels& levels, std::span<const T> values,
               std::span<const std::int64_t> counts, std::span<T> mine,
               std::vector<std::byte>& room) {
  if (go_by_pairs(levels, values.size_bytes())) {
    return sum_parts_by_pairs(levels, values, counts, mine, room);
  }
  const Counts c(counts);
  check(MPI_Reduce_scatter(values.data(), mine.data(), c.count.data(), type_of<T>(), MPI_SUM,
                           levels.comm()),
        "MPI_Reduce_scatter");
}

}  // namespace

void Communicator::allgather(std::span<const float> mine, std::span<float> all,
                             std::span<const std::int64_t> counts) const {
  gather_parts(*handle_->levels, mine, all, counts);
}
void Communicator::allgather(std::span<const double> mine, std::span<double> all,
                             std::span<const std::int64_t> counts) const {
  gather_parts(*handle_->levels, mine, all, counts);
}
void Communicator::alltoall(std::span<const float> send, std::span<const std::int64_t> send_counts,
                            std::span<float> received,
                            std::span<const std::int64_t> receive_counts) const {
  exchange_by_pairs(*handle_->levels, send, send_counts, received, receive_counts);
}
void Communicator::alltoall(std::span<const double> send, std::span<const std::int64_t> send_counts,
                            std::span<double> received,
                            std::span<const std::int64_t> receive_counts) const {
  exchange_by_pairs(*handle_->levels, send, send_counts, received, receive_counts);
}
void Communicator::reduce_scatter_sum(std::span<const float> values,
                                      std::span<const std::int64_t> counts,
                                      std::span<float> mine) const {
  sum_parts(*handle_->levels, values, counts, mine, handle_->room);
}
void Communicator::reduce_scatter_sum(std::span<const double> values,
                                      std::span<const std::int64_t> counts,
                                      std::span<double> mine) const {
  sum_parts(*handle_->levels, values, counts, mine, handle_->room);
}

extern "C" int Csys2blacs_handle(MPI_Comm comm);

int Communicator::blacs_handle() const { return Csys2blacs_handle(handle_->comm); }

void Communicator::abort(int exit_code) const {
  MPI_Abort(handle_->comm, exit_code);
  std::abort();
}

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown-host";
}

}  // namespace relgrad::mpi
