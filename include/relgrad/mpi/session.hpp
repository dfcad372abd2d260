#pragma once
/// The life of MPI in this process. Only mpi/ includes <mpi.h>.
#include <functional>

#include "relgrad/mpi/communicator.hpp"

namespace relgrad::mpi {

/// Initialises MPI (MPI_THREAD_SERIALIZED) and finalises it. Exactly one per process.
class Session {
 public:
  Session(int& argc, char**& argv);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Runs `work` and returns the process's exit code. An Error that all ranks throw together (see
  /// agree) is printed once, by rank 0, as "relgrad: error: MESSAGE"; its exit code is returned on
  /// every rank. Anything else that escapes is printed once and ends every rank with its exit code.
  int run(const std::function<int(const Communicator& world)>& work);
};

}  // namespace relgrad::mpi
