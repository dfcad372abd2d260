#pragma once
/// Which MPI this is, and what started its ranks.
#include <string>

namespace relgrad::mpi {

/// "Open MPI v4.1.4", "MPICH Version: 4.0.2": the first line of what MPI_Get_library_version tells.
std::string library();

/// "mpirun of Open MPI", "mpiexec of MPICH (Hydra)", "srun", or "none: one process", by the
/// environment.
std::string launcher();

}  // namespace relgrad::mpi
