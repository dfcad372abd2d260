#include "relgrad/mpi/session.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "mpi/check.hpp"

namespace relgrad::mpi {

Session::Session(int& argc, char**& argv) {
  int provided = 0;
  check(MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread");
}

Session::~Session() { MPI_Finalize(); }

int Session::run(const std::function<int(const Communicator& world)>& work) {
  const Communicator world = Communicator::world();
  // An Error is thrown by all ranks together (agree). One that a single rank throws would leave the
  // others waiting for ever, so each rank's code is compared before anybody leaves.
  try {
    return work(world);
  } catch (const Error& error) {
    if (error.code() != ExitCode::internal) {
      if (world.is_root()) fmt::print(stderr, "relgrad: error: {}\n", error.what());
      world.barrier();
      return static_cast<int>(error.code());
    }
    fmt::print(stderr, "relgrad: internal error on rank {} ({}): {}\n", world.rank(), host_name(),
               error.what());
  } catch (const std::exception& error) {
    fmt::print(stderr, "relgrad: internal error on rank {} ({}): {}\n", world.rank(), host_name(),
               error.what());
  }
  std::fflush(nullptr);
  if (world.world_size() == 1) return static_cast<int>(ExitCode::internal);
  world.abort(static_cast<int>(ExitCode::internal));
}

}  // namespace relgrad::mpi
