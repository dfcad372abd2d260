#pragma once
/// What escaped from the standard library, the system or a library, as an Error with its exit code.
#include <exception>
#include <string>

#include "relgrad/core/error.hpp"

namespace relgrad {

/// Not enough memory, threads or open files.
inline constexpr ExitCode exit_code_machine{8};

struct MachineError : Error {
  explicit MachineError(const std::string& message) : Error(exit_code_machine, message) {}
};

/// An Error as it is; std::bad_alloc and a lack of threads or open files as MachineError; what the
/// system says of files as DiskError (no space, no reader, read-only) or DataError; JSON of a file
/// that does not hold what it should as CheckpointError. Every other std::exception is a bug,
/// ExitCode::internal.
/// @param escaped  in a catch clause: std::current_exception()
Error as_error(const std::exception_ptr& escaped);

}  // namespace relgrad
