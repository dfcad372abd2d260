#include "relgrad/core/standard_streams.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "relgrad/core/error.hpp"

namespace relgrad {

void secure_standard_streams() {
  // The lowest free number is given: in this order each gets its own.
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) < 0 && errno == EBADF) ::open("/dev/null", O_RDWR);
  }
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

void flush_standard_output() {
  const bool failed_before = std::ferror(stdout) != 0;
  errno = 0;
  if (std::fflush(stdout) == 0 && !failed_before) return;
  throw DiskError(fmt::format("standard output: cannot write: {}; free space or write elsewhere",
                              errno == 0 ? "an earlier write failed" : std::strerror(errno)));
}

}  // namespace relgrad
