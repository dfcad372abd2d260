#include "options/option_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

constexpr std::string_view blanks = " \t\r";
constexpr std::array<std::pair<char, char>, 5> escapes{
    {{'"', '"'}, {'\\', '\\'}, {'n', '\n'}, {'r', '\r'}, {'t', '\t'}}};

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(blanks);
  if (begin == std::string_view::npos) return "";
  return text.substr(begin, text.find_last_not_of(blanks) + 1 - begin);
}

std::string_view without_comment(std::string_view text) { return text.substr(0, text.find('#')); }

/// The value in `text`, which begins with a quote; nothing if no quote ends it, or more than a
/// comment follows.
std::optional<std::string> unquoted(std::string_view text) {
  std::string value;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') {
      if (!trimmed(without_comment(text.substr(i + 1))).empty()) return std::nullopt;
      return value;
    }
    if (text[i] != '\\') {
      value += text[i];
      continue;
    }
    if (++i == text.size()) return std::nullopt;
    const auto* const escape = std::ranges::find(escapes, text[i], [](auto e) { return e.first; });
    if (escape == escapes.end()) return std::nullopt;
    value += escape->second;
  }
  return std::nullopt;
}

}  // namespace

std::string option_line(std::string_view name, std::string_view value) {
  const bool is_plain =
      trimmed(value) == value && value.find_first_of("#\"\n\r\t") == std::string_view::npos;
  if (is_plain) return fmt::format("{} = {}\n", name, value);
  std::string quoted;
  for (const char c : value) {
    const auto* const escape = std::ranges::find(escapes, c, [](auto e) { return e.second; });
    quoted += escape == escapes.end() ? std::string(1, c) : std::string{'\\', escape->first};
  }
  return fmt::format("{} = \"{}\"\n", name, quoted);
}

std::vector<std::pair<std::string, std::string>> parse_option_lines(std::string_view text) {
  constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  std::vector<std::pair<std::string, std::string>> pairs;
  for (int number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (trimmed(without_comment(line)).empty()) continue;
    const auto refuse = [&] {
      throw UsageError(
          fmt::format("line {}: '{}': expected lines like lr = 0.001", number, trimmed(line)));
    };
    const std::size_t equals = without_comment(line).find('=');
    if (equals == std::string_view::npos) refuse();
    const std::string_view name = trimmed(line.substr(0, equals));
    const std::string_view rest = trimmed(line.substr(equals + 1));
    if (name.empty()) refuse();
    if (!rest.starts_with('"')) {
      pairs.emplace_back(name, trimmed(without_comment(rest)));
      continue;
    }
    const std::optional<std::string> value = unquoted(rest);
    if (!value) refuse();
    pairs.emplace_back(name, *value);
  }
  return pairs;
}

}  // namespace relgrad
