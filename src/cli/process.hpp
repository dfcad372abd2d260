#pragma once
/// What this process knows of its job before, or without, MPI: from the launcher's environment.
namespace relgrad::cli {

/// Rank of this process as the launcher tells it (Open MPI, PMI, SLURM); 0 if there is none.
int rank_from_environment();
/// Number of processes mpirun started; 1 if it did not start this one.
int world_size_from_environment();

}  // namespace relgrad::cli
