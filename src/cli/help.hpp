#pragma once
/// What --help, --help-markdown, --help-man, --bash-completion and --version print.
#include <string>
#include <vector>

#include "command.hpp"

namespace relgrad::cli {

std::string help_text(const Command& command);
std::string help_markdown(const Command& command);

/// The page of `man relgrad-COMMAND`, for section 1, as man(7) macros.
std::string man_page(const Command& command);
/// The page of `man relgrad`: the commands.
std::string man_page(const std::vector<Command>& commands);

/// A script that makes bash complete commands, options and values that are one of a few names.
std::string bash_completion(const std::vector<Command>& commands);

/// Of the whole program: its commands, one line each.
std::string overview(const std::vector<Command>& commands);

/// "relgrad 0.2.0" and what it is built with.
std::string version_text();

}  // namespace relgrad::cli
