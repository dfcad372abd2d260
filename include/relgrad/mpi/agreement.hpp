#pragma once
/// Ranks fail together: local work reports trouble, then all ranks agree on it.
#include <functional>
#include <optional>

#include "relgrad/core/error.hpp"
#include "relgrad/mpi/communicator.hpp"

namespace relgrad::mpi {

/// Runs `work`, which must hold no collective call, and returns the Error it threw, if any.
/// std::bad_alloc becomes an Error of exit code 1, other exceptions likewise.
std::optional<Error> trouble_in(const std::function<void()>& work);

/// Collective. If any rank has trouble, every rank throws an Error with the message and exit code
/// of the lowest such rank ("rank 3 on node7: ..." unless every rank says the same).
void agree(const Communicator& comm, const std::optional<Error>& trouble);

/// Throws an error that every rank throws here, because all ranks see the same cause.
template <class AnyError>
[[noreturn]] void throw_on_all_ranks(AnyError error) {
  error.set_agreed();
  throw error;
}

/// agree(comm, trouble_in(work)).
void together(const Communicator& comm, const std::function<void()>& work);

}  // namespace relgrad::mpi
