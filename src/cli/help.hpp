#pragma once
/// What --help, --help-markdown and --version print.
#include <string>
#include <vector>

#include "command.hpp"

namespace relgrad::cli {

std::string help_text(const Command& command);
std::string help_markdown(const Command& command);

/// Of the whole program: its commands, one line each.
std::string overview(const std::vector<Command>& commands);

/// "relgrad 0.1.0" and what it is built with.
std::string version_text();

}  // namespace relgrad::cli
