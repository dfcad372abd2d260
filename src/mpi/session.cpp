#include "relgrad/mpi/session.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "mpi/check.hpp"
#include "mpi/waiting.hpp"

namespace relgrad::mpi {

namespace {

/// An error that this rank may be alone with: the others could wait for it for ever, so all are
/// ended. Where every rank has the same error, the root speaks first and the others never do.
[[noreturn]] void leave_alone(const Communicator& world, ExitCode code, const char* what) {
  if (!world.is_root()) std::this_thread::sleep_for(std::chrono::seconds(2));
  fmt::print(stderr, "relgrad: {}: {}{}\n", code == ExitCode::internal ? "internal error" : "error",
             world.is_root() ? "" : fmt::format("rank {} on {}: ", world.rank(), host_name()),
             what);
  std::fflush(nullptr);
  if (world.world_size() == 1) std::exit(static_cast<int>(code));
  world.abort(static_cast<int>(code));
}

}  // namespace

Session::Session(int& argc, char**& argv) {
  yield_while_waiting();
  int provided = 0;
  check(MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread");
}

Session::~Session() { MPI_Finalize(); }

int Session::run(const std::function<int(const Communicator& world)>& work) {
  const Communicator world = Communicator::world();
  try {
    return work(world);
  } catch (const Error& error) {
    if (error.agreed() || world.world_size() == 1) {  // every rank is here
      if (world.is_root()) fmt::print(stderr, "relgrad: error: {}\n", error.what());
      world.barrier();
      return static_cast<int>(error.code());
    }
    leave_alone(world, error.code(), error.what());
  } catch (const std::exception& error) {
    leave_alone(world, ExitCode::internal, error.what());
  }
}

}  // namespace relgrad::mpi
