#pragma once
/// What every form of help is made of: --help, the Markdown page, the man page, shell completion.
#include <string>
#include <string_view>
#include <vector>

#include "option.hpp"

namespace relgrad::cli {

std::string_view meaning_of_exit_code(int code);

/// "default 0.001; > 0; s"
std::string limits_line(const Option& option);

/// "--lr X", "--deterministic"
std::string with_value(const Option& option);

/// Calls heading(name) when the group changes and row(option) for each option that is not hidden.
template <class Heading, class Row>
void for_each_in_groups(const std::vector<Option>& options, const Heading& heading,
                        const Row& row) {
  std::string current;
  for (const Option& option : options) {
    if (option.is_hidden) continue;
    if (option.group != current) heading(current = option.group);
    row(option);
  }
}

}  // namespace relgrad::cli
