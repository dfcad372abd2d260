#pragma once
/// What a rank does while it waits for another: spin, or give its CPU to whoever wants it.
#include <string>

namespace relgrad::mpi {

/// Call before MPI_Init. Asks MPI to give the CPU away between looks at what came in, unless the
/// environment (or mpirun --mca) says what to do. Where other programs or more ranks than CPUs
/// share a machine, a rank that spins takes the CPU from the one it waits for; where a rank has its
/// CPU for itself, sched_yield comes back at once. Open MPI: mpi_yield_when_idle. MPICH over CH4
/// has no such setting: nothing is done.
void yield_while_waiting();

/// In a few words, what ranks do while they wait for others: "yield the CPU".
std::string how_ranks_wait();

}  // namespace relgrad::mpi
