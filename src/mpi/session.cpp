#include "relgrad/mpi/session.hpp"

#include <fmt/format.h>
#include <sys/mman.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "mpi/check.hpp"
#include "mpi/waiting.hpp"
#include "relgrad/core/escaped.hpp"
#include "relgrad/core/log.hpp"

namespace relgrad::mpi {

namespace {

/// An error that this rank may be alone with: the others could wait for it for ever, so all are
/// ended. Where every rank has the same error, the root speaks first and the others never do.
[[noreturn]] void leave_alone(const Communicator& world, const Error& error) {
  if (!world.is_root()) std::this_thread::sleep_for(std::chrono::seconds(2));
  log_error((world.is_root() ? "" : fmt::format("rank {} on {}: ", world.rank(), host_name())) +
                error.what(),
            error.code() == ExitCode::internal);
  std::fflush(nullptr);
  world.abort(static_cast<int>(error.code()));
}

/// Where address space is limited (`ulimit -v`), MPI libraries crash in their start instead of
/// failing. @throws MachineError unless there is as much as Open MPI takes for one rank.
void make_sure_of_address_space() {
  constexpr std::size_t bytes = std::size_t{64} << 20U;
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    throw MachineError(
        "out of memory: MPI wants 64 MiB of address space more than this process may have; raise "
        "the limit (ulimit -v, the batch system's)");
  }
  ::munmap(memory, bytes);
}

}  // namespace

Session::Session(int& argc, char**& argv) {
  make_sure_of_address_space();
  yield_while_waiting();
  int provided = 0;
  check(MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread");
}

Session::~Session() { MPI_Finalize(); }

int Session::run(const std::function<int(const Communicator& world)>& work) {
  const Communicator world = Communicator::world();
  try {
    return work(world);
  } catch (const std::exception&) {
    const Error error = as_error(std::current_exception());
    if (!error.agreed() && world.world_size() > 1) leave_alone(world, error);
    // Every rank is here.
    if (world.is_root()) log_error(error.what(), error.code() == ExitCode::internal);
    world.barrier();
    return static_cast<int>(error.code());
  }
}

}  // namespace relgrad::mpi
