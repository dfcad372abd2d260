#include "mpi/waiting.hpp"

#include <mpi.h>

#include <cstdlib>

namespace relgrad::mpi {

#ifdef OPEN_MPI

namespace {

constexpr const char* variable = "OMPI_MCA_mpi_yield_when_idle";
bool is_set_by_relgrad = false;

bool means_yes(const std::string& value) {
  return value == "1" || value == "true" || value == "t" || value == "yes" || value == "y" ||
         value == "enabled";
}

}  // namespace

void yield_while_waiting() {
  if (std::getenv(variable) != nullptr) return;
  is_set_by_relgrad = setenv(variable, "1", 0) == 0;
}

std::string how_ranks_wait() {
  if (is_set_by_relgrad) return "yield the CPU";
  const char* const value = std::getenv(variable);
  if (value == nullptr) return "do what Open MPI does by default";
  return std::string(means_yes(value) ? "yield the CPU" : "spin") + " (" + variable + "=" + value +
         " is set)";
}

#else

void yield_while_waiting() {}

std::string how_ranks_wait() { return "do what this MPI does by default"; }

#endif

}  // namespace relgrad::mpi
