#include "mpi/library_facts.hpp"

#include <mpi.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "mpi/check.hpp"

namespace relgrad::mpi {

std::string library() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  check(MPI_Get_library_version(text.data(), &length), "MPI_Get_library_version");
  const std::string all(text.data());
  std::string first = all.substr(0, all.find_first_of("\n,"));
  std::replace(first.begin(), first.end(), '\t', ' ');
  return first;
}

std::string launcher() {
  const auto is_set = [](const char* variable) { return std::getenv(variable) != nullptr; };
  if (is_set("OMPI_COMM_WORLD_SIZE")) return "mpirun of Open MPI";
  if (is_set("MPI_LOCALNRANKS")) return "mpiexec of MPICH (Hydra)";
  if (is_set("SLURM_STEP_ID") && is_set("SLURM_PROCID")) return "srun";
  // Not PMIX_RANK: Open MPI sets it itself where nothing launched it.
  if (is_set("PMI_RANK")) return "one that speaks PMI";
  return "none: one process";
}

}  // namespace relgrad::mpi
