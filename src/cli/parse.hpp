#pragma once
/// Options from the command line and from a file: the line decides over the file, the file over the
/// defaults.
#include <string>
#include <utility>
#include <vector>

#include "command.hpp"

namespace relgrad::cli {

/// Sets every option of `command` that `words` (what stands after the command's name) gives, then
/// calls command.check. @throws UsageError.
void parse(Command& command, const std::vector<std::string>& words);

/// The keys and values of an option file ("lr = 0.001", # starts a comment), in order.
/// @throws UsageError naming the file and what is wrong with it.
std::vector<std::pair<std::string, std::string>> read_option_file(const std::string& path);

}  // namespace relgrad::cli
