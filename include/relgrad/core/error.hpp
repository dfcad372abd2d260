#pragma once
/// Errors say what, where, which value and how to mend it, on one line; each kind has its exit
/// code.
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace relgrad {

/// Exit codes of every sub-command; a contract with job scripts (docs/exit-codes.md).
enum class ExitCode : int {
  done = 0,
  internal = 1,    // a bug in relgrad
  usage = 2,       // unknown option, value out of range, run directory in use
  data = 3,        // input files or data set missing, damaged or unsuitable
  checkpoint = 4,  // checkpoint missing, damaged or of another model
  diverged = 5,    // the log-likelihood or a parameter is no longer finite
  disk = 6,        // cannot write: permission, quota, space
  hung = 7,        // a rank made no progress for --watchdog-seconds
  stopped = 75,    // stopped on request after a checkpoint: requeue me
};

class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }
  /// True if every rank throws this same error (mpi/agreement): it is printed once and all leave.
  bool agreed() const { return agreed_; }
  Error& set_agreed() {
    agreed_ = true;
    return *this;
  }

 private:
  ExitCode code_;
  bool agreed_ = false;
};

struct UsageError : Error {
  explicit UsageError(const std::string& message) : Error(ExitCode::usage, message) {}
};
struct DataError : Error {
  explicit DataError(const std::string& message) : Error(ExitCode::data, message) {}
};
struct CheckpointError : Error {
  explicit CheckpointError(const std::string& message) : Error(ExitCode::checkpoint, message) {}
};
struct DivergedError : Error {
  explicit DivergedError(const std::string& message) : Error(ExitCode::diverged, message) {}
};
struct DiskError : Error {
  explicit DiskError(const std::string& message) : Error(ExitCode::disk, message) {}
};
/// A caller inside relgrad broke a contract about sizes: a bug, exit code 1.
struct ShapeError : Error {
  explicit ShapeError(const std::string& message) : Error(ExitCode::internal, message) {}
};

/// @throws ShapeError "`where`: `what` is `actual`, expected `expected`" unless both are equal.
void check_size(std::string_view where, std::string_view what, std::int64_t actual,
                std::int64_t expected);

}  // namespace relgrad
