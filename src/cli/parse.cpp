#include "parse.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <map>
#include <set>

#include "options/option_file.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/files.hpp"

namespace relgrad::cli {

namespace {

namespace po = boost::program_options;

/// In the order they were given.
using Assignments = std::vector<std::pair<const Option*, std::string>>;

const Option* find_option(const Command& command, const std::string& name) {
  const auto found = std::find_if(command.options.begin(), command.options.end(),
                                  [&](const Option& option) { return option.name == name; });
  return found == command.options.end() ? nullptr : &*found;
}

std::vector<std::string> names_of(const std::vector<Option>& options) {
  std::vector<std::string> names;
  for (const Option& option : options) names.push_back(option.name);
  return names;
}

[[noreturn]] void refuse_unknown(const Command& command, const std::string& name) {
  const std::string hint = did_you_mean(name, names_of(command.options), "--");
  throw UsageError(fmt::format(
      "{}: unknown option --{}{}", command.name, name,
      hint.empty() ? fmt::format("; relgrad {} --help lists all of them", command.name) : hint));
}

bool is_boolean_word(const std::string& word) {
  return word == "true" || word == "false" || word == "on" || word == "off" || word == "yes" ||
         word == "no" || word == "1" || word == "0";
}

/// A word that starts with two dashes is never the value of the option before it.
void refuse_missing_value(const Command& command, const std::vector<std::string>& words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const Option* const option =
        words[i].starts_with("--") ? find_option(command, words[i].substr(2)) : nullptr;
    if (option == nullptr || option->is_switch()) continue;
    if (i + 1 == words.size() || words[i + 1].starts_with("--")) {
      throw UsageError(
          fmt::format("{}: {} needs a value ({})", command.name, words[i], option->range));
    }
  }
}

/// Switches in one spelling: "--grey", "--grey on" and "--no-grey" become "--grey=true",
/// "--grey=on" and "--grey=false".
std::vector<std::string> spell_out_switches(const Command& command,
                                            const std::vector<std::string>& words) {
  std::vector<std::string> spelled;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const std::string name = word.starts_with("--") ? word.substr(2) : "";
    const Option* const option = find_option(command, name);
    const Option* const negated =
        name.starts_with("no-") ? find_option(command, name.substr(3)) : nullptr;
    if (option != nullptr && option->is_switch()) {
      const bool has_value = i + 1 < words.size() && is_boolean_word(words[i + 1]);
      spelled.push_back(word + "=" + (has_value ? words[i + 1] : "true"));
      if (has_value) ++i;
    } else if (option == nullptr && negated != nullptr && negated->is_switch()) {
      spelled.push_back("--" + negated->name + "=false");
    } else {
      spelled.push_back(word);
    }
  }
  return spelled;
}

po::options_description describe(const Command& command) {
  po::options_description description;
  for (const Option& option : command.options) {
    auto* const value = po::value<std::vector<std::string>>();
    if (option.repeatable) value->multitoken();
    description.add_options()(option.name.c_str(), value, "");
  }
  return description;
}

void refuse_repetition(const Command& command, const Assignments& assignments,
                       const std::string& where) {
  std::map<std::string, std::string> first;
  for (const auto& [option, text] : assignments) {
    const auto [found, is_new] = first.emplace(option->name, text);
    if (!is_new && !option->repeatable) {
      throw UsageError(fmt::format("{}: --{} is given twice{} ({} and {}); keep one", command.name,
                                   option->name, where, found->second, text));
    }
  }
}

Assignments read_line(const Command& command, const std::vector<std::string>& words,
                      std::vector<std::string>& positionals) {
  refuse_missing_value(command, words);
  const po::options_description description = describe(command);
  namespace style = po::command_line_style;
  const int long_options_only =
      style::allow_long | style::long_allow_adjacent | style::long_allow_next;
  po::parsed_options parsed(&description);
  try {
    parsed = po::command_line_parser(spell_out_switches(command, words))
                 .options(description)
                 .style(long_options_only)
                 .allow_unregistered()
                 .run();
  } catch (const po::error_with_option_name& error) {
    throw UsageError(fmt::format("{}: {} needs a value; relgrad {} --help shows which",
                                 command.name, error.get_option_name(), command.name));
  }
  Assignments assignments;
  for (const auto& entry : parsed.options) {
    if (entry.unregistered) refuse_unknown(command, entry.string_key);
    const Option* const option = find_option(command, entry.string_key);
    for (const std::string& text : entry.value) {
      if (option == nullptr) {
        positionals.push_back(text);
      } else {
        assignments.emplace_back(option, text);
      }
    }
  }
  refuse_repetition(command, assignments, "");
  return assignments;
}

void set_positionals(Command& command, const std::vector<std::string>& positionals) {
  const std::size_t taken = command.set_positional ? 1 : 0;
  if (positionals.size() > taken && !command.takes_many_positionals) {
    throw UsageError(
        fmt::format("{}: '{}' is not expected; {}", command.name, positionals[taken],
                    taken == 0 ? "every value follows its --option" : "give one path at a time"));
  }
  if (positionals.empty()) return;
  command.positional = positionals.front();
  for (const std::string& text : positionals) command.set_positional(text);
}

/// The options of the file that the line does not set itself; all of them are checked.
void set_from_file(const Command& command, const std::string& path,
                   const std::set<std::string>& set_by_line) {
  Assignments assignments;
  for (const auto& [key, text] : read_option_file(path)) {
    const Option* const option = find_option(command, key);
    if (option == nullptr || key == command.config_option) {
      throw UsageError(fmt::format("{}: unknown key '{}'{}", path, key,
                                   did_you_mean(key, names_of(command.options))));
    }
    assignments.emplace_back(option, text);
  }
  refuse_repetition(command, assignments, " in " + path);
  for (const auto& [option, text] : assignments) {
    if (set_by_line.contains(option->name)) continue;
    try {
      option->set(text);
    } catch (const UsageError& error) {
      throw UsageError(path + ": " + error.what());
    }
  }
}

}  // namespace

std::vector<std::pair<std::string, std::string>> read_option_file(const std::string& path) {
  try {
    return parse_option_lines(read_file(path));
  } catch (const DataError& error) {
    throw UsageError(std::string(error.what()) + "; expected a file with lines like lr = 0.001");
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("{}: {}", path, error.what()));
  }
}

void parse(Command& command, const std::vector<std::string>& words) {
  std::vector<std::string> positionals;
  const Assignments assignments = read_line(command, words, positionals);
  set_positionals(command, positionals);
  std::set<std::string> set_by_line;
  std::string option_file;
  for (const auto& [option, text] : assignments) {
    option->set(text);
    set_by_line.insert(option->name);
    if (option->name == command.config_option) option_file = text;
  }
  if (!option_file.empty()) set_from_file(command, option_file, set_by_line);
  command.check();
}

}  // namespace relgrad::cli
