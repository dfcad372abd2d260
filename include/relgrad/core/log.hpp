#pragma once
/// One-line messages for people on standard error, from the root rank only.
#include <string_view>

namespace relgrad {

/// Only one process of a job speaks; the command line tells each process which it is. Default:
/// speaks.
void set_log_enabled(bool enabled);
/// "relgrad: MESSAGE"
void log_info(std::string_view message);
/// "relgrad: warning: MESSAGE"
void log_warning(std::string_view message);

}  // namespace relgrad
