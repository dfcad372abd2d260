#include "process.hpp"

#include <cstdlib>
#include <initializer_list>

namespace relgrad::cli {

namespace {

int first_number_in(std::initializer_list<const char*> variables, int otherwise) {
  for (const char* variable : variables) {
    const char* const text = std::getenv(variable);
    if (text != nullptr && *text != '\0') return std::atoi(text);
  }
  return otherwise;
}

}  // namespace

int rank_from_environment() {
  return first_number_in({"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"}, 0);
}

int world_size_from_environment() {
  return first_number_in({"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}, 1);
}

}  // namespace relgrad::cli
