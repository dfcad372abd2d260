#pragma once
/// One-line messages for people on standard error, from the root rank only. A line that cannot be
/// written (a full disk, a reader that is gone) is dropped: the log never throws and ends nothing.
#include <string>
#include <string_view>

namespace relgrad {

/// Only one process of a job prints messages; the command line sets for each process whether it
/// does. Default: it prints.
void set_log_enabled(bool enabled);
/// "relgrad: MESSAGE"
void log_info(std::string_view message);
/// "relgrad: warning: MESSAGE"
void log_warning(std::string_view message);
/// "relgrad: error: MESSAGE", or "relgrad: internal error: MESSAGE" of a bug; whoever speaks.
void log_error(std::string_view message, bool is_bug = false);
/// `text` as it is, control characters included, whoever speaks.
void write_log(std::string_view text);

/// `text` with every control character as \n or \x1b: names come from files, and what they hold
/// must not reach the terminal. Bytes that are no UTF-8 stay as they are.
std::string printable(std::string_view text);

}  // namespace relgrad
