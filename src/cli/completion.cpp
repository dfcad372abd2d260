// Completion for bash, of the same tables as --help.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "help.hpp"

namespace relgrad::cli {

namespace {

/// "adam natural sgd" of an option whose range is "adam | natural | sgd", and "never auto" of
/// "never | auto | a directory"; empty: its values are not names.
std::string names_among_values(const Option& option) {
  std::string names;
  if (option.range.find(" | ") == std::string::npos) return names;
  for (std::size_t begin = 0; begin < option.range.size();) {
    const std::size_t end = std::min(option.range.find(" | ", begin), option.range.size());
    const std::string value = option.range.substr(begin, end - begin);
    const bool is_name =
        value.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_") == std::string::npos;
    if (is_name) names += (names.empty() ? "" : " ") + value;
    begin = end + 3;
  }
  return names;
}

std::string option_words(const Command& command) {
  std::string words;
  for (const Option& option : command.options) {
    if (!option.is_hidden) words += "--" + option.name + " ";
  }
  return words + "--help";
}

std::string values_of(const Command& command) {
  std::string cases;
  for (const Option& option : command.options) {
    const std::string names =
        option.is_switch() || option.is_hidden ? "" : names_among_values(option);
    if (!names.empty())
      cases += fmt::format("    {}/--{}) words=\"{}\" ;;\n", command.name, option.name, names);
  }
  return cases;
}

}  // namespace

std::string bash_completion(const std::vector<Command>& commands) {
  std::vector<std::string> names;
  std::string values;
  std::string options;
  for (const Command& command : commands) {
    names.push_back(command.name);
    values += values_of(command);
    options += fmt::format("    {}) words=\"{}\" ;;\n", command.name, option_words(command));
  }
  // Where nothing is offered, bash completes names of files (-o default).
  return fmt::format(
      "# bash completion of relgrad, written by relgrad --bash-completion\n"
      "_relgrad() {{\n"
      "  local current=$2 previous=$3 command=${{COMP_WORDS[1]}} words=\n"
      "  COMPREPLY=()\n"
      "  if ((COMP_CWORD == 1)); then\n"
      "    words=\"{} help --help --version\"\n"
      "  else\n"
      "    case $command/$previous in\n{}"
      "    esac\n"
      "  fi\n"
      "  if [[ -z $words && $current == -* ]]; then\n"
      "    case $command in\n{}"
      "    esac\n"
      "  fi\n"
      "  [[ -z $words ]] || mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
      "}}\n"
      "complete -o default -F _relgrad relgrad\n",
      fmt::join(names, " "), values, options);
}

}  // namespace relgrad::cli
