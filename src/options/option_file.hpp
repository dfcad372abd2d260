#pragma once
/// Lines of an option file: "lr = 0.001"; # starts a comment. A value with something in it that
/// such a line cannot hold (a #, a line break, blanks at its ends) stands in double quotes, with
/// the escapes of C for quotes, backslashes, line breaks and tabs.
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace relgrad {

/// "NAME = VALUE\n", quoted if need be: parse_option_lines reads any value back.
std::string option_line(std::string_view name, std::string_view value);

/// Names and values, in order. A byte order mark and carriage returns, as some editors add, are
/// passed over. @throws UsageError "line 3: ...".
std::vector<std::pair<std::string, std::string>> parse_option_lines(std::string_view text);

}  // namespace relgrad
