#pragma once
/// Every MPI call is checked: MPI_ERRORS_RETURN is set on our communicators.
#include <fmt/format.h>
#include <mpi.h>

#include <array>

#include "relgrad/core/error.hpp"

namespace relgrad::mpi {

inline void check(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  throw Error(ExitCode::internal, fmt::format("{} failed: {}", call, text.data()));
}

}  // namespace relgrad::mpi
