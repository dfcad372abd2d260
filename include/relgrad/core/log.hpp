#pragma once
/// One-line messages for people on standard error, from the root rank only.
#include <string_view>

namespace relgrad {

/// Only one process of a job prints messages; the command line sets for each process whether it
/// does. Default: it prints.
void set_log_enabled(bool enabled);
/// "relgrad: MESSAGE"
void log_info(std::string_view message);
/// "relgrad: warning: MESSAGE"
void log_warning(std::string_view message);

}  // namespace relgrad
