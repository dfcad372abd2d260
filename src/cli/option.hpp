#pragma once
/// One option of a command: what --help and the docs say about it, and where its value goes.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "options/option_value.hpp"

namespace relgrad::cli {

struct Option {
  std::string name;          // "lr": --lr
  std::string group;         // heading in --help
  std::string value;         // what stands after it: "N", "DIR"; empty: a switch
  std::string default_text;  // empty: none
  std::string unit;
  std::string range;
  std::string meaning;  // one line
  bool repeatable = false;
  /// Sets from text. @throws UsageError naming option, value, limit and remedy.
  std::function<void(const std::string&)> set;
  /// As it is now, in words that are equal where values are; empty: a place of this machine (a
  /// path, threads), which the ranks of a job may have each its own.
  std::function<std::string()> get;
  bool is_hidden = false;  // accepted, but not shown
  bool is_switch() const { return value.empty(); }
};

// The `target` of each of these must outlive the Option; its value now is the default.

template <class Number>
Option number_option(const std::string& name, Number& target, const Limits<Number>& range,
                     const std::string& unit, const std::string& meaning) {
  const Number example = target;
  return {
      name,
      "",
      std::is_integral_v<Number> ? "N" : "X",
      number_text(target),
      unit,
      range.text(),
      meaning,
      false,
      [=, &target](const std::string& text) { target = read_number(name, text, range, example); },
      [&target] { return number_text(target); }};
}

Option choice_option(const std::string& name, std::string& target,
                     const std::vector<std::string>& choices, const std::string& meaning);
/// Any text but the empty one.
Option text_option(const std::string& name, std::string& target, const std::string& value,
                   const std::string& range, const std::string& meaning);
/// A text that names a place of this machine.
Option place_option(const std::string& name, std::string& target, const std::string& value,
                    const std::string& range, const std::string& meaning);
Option path_option(const std::string& name, std::filesystem::path& target, const std::string& value,
                   const std::string& meaning);
/// `--NAME FILE FILE --NAME FILE`: all of them, in order.
Option paths_option(const std::string& name, std::vector<std::filesystem::path>& target,
                    const std::string& value, const std::string& meaning);
Option switch_option(const std::string& name, bool& target, const std::string& meaning);

/// `options` with their heading.
std::vector<Option> group(const std::string& heading, std::vector<Option> options);
/// One list after another.
std::vector<Option> joined(const std::vector<std::vector<Option>>& lists);

}  // namespace relgrad::cli
