#include "relgrad/core/log.hpp"

#include <fmt/format.h>

#include <cstdio>

namespace relgrad {

namespace {
bool enabled_here = true;  // the process's voice: set once at start, nothing computes from it
}

void set_log_enabled(bool enabled) { enabled_here = enabled; }

void log_info(std::string_view message) {
  if (enabled_here) fmt::print(stderr, "relgrad: {}\n", message);
}

void log_warning(std::string_view message) {
  if (enabled_here) fmt::print(stderr, "relgrad: warning: {}\n", message);
}

}  // namespace relgrad
