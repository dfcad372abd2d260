#include "mpi/levels.hpp"

#include <array>

namespace relgrad::mpi {

Levels::Levels(MPI_Comm comm) : comm_(comm) {
  check(MPI_Comm_rank(comm, &rank_), "MPI_Comm_rank");
  check(MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &node_),
        "MPI_Comm_split_type");
  find_rails();
}

Levels::Levels(MPI_Comm comm, MPI_Comm node) : comm_(comm), node_(node) {
  check(MPI_Comm_rank(comm, &rank_), "MPI_Comm_rank");
  find_rails();
}

void Levels::find_rails() {
  int size = 1;
  int place = 0;
  check(MPI_Comm_size(comm_, &size), "MPI_Comm_size");
  check(MPI_Comm_size(node_, &places_), "MPI_Comm_size");
  check(MPI_Comm_rank(node_, &place), "MPI_Comm_rank");
  // The least and the most of places, and whether rank r is at place r % places of its node.
  int first = rank_;
  check(MPI_Bcast(&first, 1, MPI_INT, 0, node_), "MPI_Bcast");
  const bool in_order = first % places_ == 0 && rank_ == first + place;
  std::array<int, 3> least = {places_, -places_, in_order ? 1 : 0};
  check(MPI_Allreduce(MPI_IN_PLACE, least.data(), 3, MPI_INT, MPI_MIN, comm_), "MPI_Allreduce");
  are_even_ = least[0] == -least[1] && least[2] == 1;
  nodes_ = size / places_;
  if (!are_even_) {
    nodes_ = size;
    places_ = 1;
    return;
  }
  check(MPI_Comm_split(comm_, place, rank_, &rail_), "MPI_Comm_split");
  for (const MPI_Comm part : {node_, rail_}) {
    check(MPI_Comm_set_errhandler(part, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  }
}

Levels::~Levels() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (finalized != 0) return;
  if (node_ != MPI_COMM_NULL) MPI_Comm_free(&node_);
  if (rail_ != MPI_COMM_NULL) MPI_Comm_free(&rail_);
}

}  // namespace relgrad::mpi
