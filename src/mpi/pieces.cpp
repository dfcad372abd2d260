#include "mpi/pieces.hpp"

#include <algorithm>
#include <array>

namespace relgrad::mpi {

namespace {

constexpr std::size_t piece_bytes = std::size_t{256} << 10U;
constexpr int under_way = 64;  // pieces in each direction

/// The pieces of the messages to, or from, all other ranks, in the order in which they travel.
template <class Byte>
class Pieces {
 public:
  /// @param direction  +1: rank, rank + 1, ..., -1: rank, rank - 1, ...
  Pieces(const std::vector<std::span<Byte>>& messages, int rank, int direction)
      : messages_(&messages),
        size_(static_cast<int>(messages.size())),
        rank_(rank),
        direction_(direction) {}

  /// Calls work(bytes, peer) for the next piece; false where none is left.
  template <class Work>
  bool next(const Work& work) {
    for (; round_ < size_; ++round_, offset_ = 0) {
      const int peer = (rank_ + direction_ * round_ + size_) % size_;
      const std::span<Byte> message = (*messages_)[static_cast<std::size_t>(peer)];
      if (offset_ == message.size()) continue;
      const std::size_t bytes = std::min(piece_bytes, message.size() - offset_);
      work(message.subspan(offset_, bytes), peer);
      offset_ += bytes;
      return true;
    }
    return false;
  }

 private:
  const std::vector<std::span<Byte>>* messages_;
  int size_;
  int rank_;
  int direction_;
  int round_ = 1;
  std::size_t offset_ = 0;  // in this round's message
};

}  // namespace

// It always comes to its end: of all pieces that have not arrived take one of the least round and
// the least offset. Its sender and its receiver are through with all that they had before it, so
// that both have it under way.
void exchange_in_pieces(MPI_Comm comm, const std::vector<std::span<const std::byte>>& to,
                        const std::vector<std::span<std::byte>>& from) {
  int rank = 0;
  check(MPI_Comm_rank(comm, &rank), "MPI_Comm_rank");
  Pieces<const std::byte> sent(to, rank, +1);
  Pieces<std::byte> received(from, rank, -1);
  std::array<MPI_Request, 2 * under_way> requests;  // those that receive in the second half
  requests.fill(MPI_REQUEST_NULL);
  const auto start = [&](int slot) {
    MPI_Request* const request = &requests[static_cast<std::size_t>(slot)];
    if (slot < under_way) {
      sent.next([&](std::span<const std::byte> bytes, int peer) {
        check(MPI_Isend(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, peer, 0, comm,
                        request),
              "MPI_Isend");
      });
    } else {
      received.next([&](std::span<std::byte> bytes, int peer) {
        check(MPI_Irecv(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, peer, 0, comm,
                        request),
              "MPI_Irecv");
      });
    }
  };
  // By turns: where all receives are posted first, Open MPI's TCP sends one way, then the other.
  for (int slot = 0; slot < under_way; ++slot) {
    start(under_way + slot);
    start(slot);
  }
  for (;;) {
    int slot = MPI_UNDEFINED;
    check(MPI_Waitany(2 * under_way, requests.data(), &slot, MPI_STATUS_IGNORE), "MPI_Waitany");
    if (slot == MPI_UNDEFINED) return;
    start(slot);
  }
}

}  // namespace relgrad::mpi
