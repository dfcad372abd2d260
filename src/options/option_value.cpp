#include "options/option_value.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <optional>
#include <type_traits>

#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

/// Levenshtein distance: the fewest insertions, deletions and replacements from `a` to `b`.
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];  // distance of the prefixes i - 1 and j - 1
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

std::optional<std::string> nearest_name(const std::string& text,
                                        const std::vector<std::string>& names) {
  const std::size_t allowed = std::max<std::size_t>(2, text.size() / 3);
  std::optional<std::string> nearest;
  std::size_t fewest = allowed + 1;
  for (const std::string& name : names) {
    const std::size_t distance = edit_distance(text, name);
    if (distance < fewest && distance < name.size()) {
      fewest = distance;
      nearest = name;
    }
  }
  if (nearest || text.size() < 3) return nearest;
  const auto longer = std::find_if(names.begin(), names.end(),
                                   [&](const std::string& name) { return name.starts_with(text); });
  return longer == names.end() ? nearest : *longer;
}

bool is_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

template <class Number>
bool Limits<Number>::contains(Number value) const {
  return (least_allowed ? value >= least : value > least) &&
         (most_allowed ? value <= most : value < most);
}

template <class Number>
std::string Limits<Number>::text() const {
  const bool has_least = least != std::numeric_limits<Number>::lowest();
  const bool has_most = most != std::numeric_limits<Number>::max();
  if (has_least && has_most && least_allowed && most_allowed) {
    return fmt::format("{} ... {}", least, most);
  }
  if (std::is_unsigned_v<Number> && !has_least && !has_most) return "0 ... 2^64 - 1";
  std::vector<std::string> sides;
  if (has_least || std::is_unsigned_v<Number>) {
    sides.push_back(fmt::format("{} {}", least_allowed ? ">=" : ">", least));
  }
  if (has_most) sides.push_back(fmt::format("{} {}", most_allowed ? "<=" : "<", most));
  if (sides.empty()) return "any number";
  return fmt::format("{}", fmt::join(sides, " and "));
}

template <class Number>
Number read_number(const std::string& option, const std::string& text, const Limits<Number>& range,
                   Number example) {
  Number value{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  bool is_number = stop == end && error != std::errc::invalid_argument;
  bool too_large = error == std::errc::result_out_of_range;
  if constexpr (std::is_floating_point_v<Number>) {
    is_number = is_number && !std::isnan(value);
    too_large = too_large || std::isinf(value);
  } else if constexpr (std::is_unsigned_v<Number>) {
    if (text.starts_with('-') && is_digits(text.substr(1))) is_number = too_large = true;
  }
  if (!is_number) {
    throw UsageError(fmt::format("--{}: '{}' is not a {}; try {}", option, text,
                                 std::is_integral_v<Number> ? "whole number" : "number", example));
  }
  if (too_large || !range.contains(value)) {
    throw UsageError(
        fmt::format("--{}: {} is out of range ({}); try {}", option, text, range.text(), example));
  }
  return value;
}

bool read_boolean(const std::string& option, const std::string& text) {
  for (const char* yes : {"true", "on", "yes", "1"}) {
    if (text == yes) return true;
  }
  for (const char* no : {"false", "off", "no", "0"}) {
    if (text == no) return false;
  }
  throw UsageError(
      fmt::format("--{}: '{}' is neither true nor false; write true or false", option, text));
}

std::string read_choice(const std::string& option, const std::string& text,
                        const std::vector<std::string>& choices) {
  if (std::find(choices.begin(), choices.end(), text) != choices.end()) return text;
  const std::string offered = fmt::format("{}", fmt::join(choices, ", "));
  throw UsageError(fmt::format("--{}: '{}' is not one of {}{}", option, text, offered,
                               did_you_mean(text, choices)));
}

std::string read_path(const std::string& option, const std::string& text) {
  if (text.empty()) throw UsageError(fmt::format("--{}: the value is empty; give a path", option));
  return text;
}

template <class Number>
std::string number_text(Number value) {
  return fmt::format("{}", value);
}

std::string choices_text(const std::vector<std::string>& choices) {
  return fmt::format("{}", fmt::join(choices, " | "));
}

std::string did_you_mean(const std::string& text, const std::vector<std::string>& names,
                         const std::string& prefix) {
  const std::optional<std::string> nearest = nearest_name(text, names);
  return nearest ? fmt::format("; did you mean {}{}?", prefix, *nearest) : "";
}

#define RELGRAD_INSTANTIATE(Number)                                                          \
  template struct Limits<Number>;                                                            \
  template Number read_number(const std::string&, const std::string&, const Limits<Number>&, \
                              Number);                                                       \
  template std::string number_text(Number);
RELGRAD_INSTANTIATE(std::int64_t)
RELGRAD_INSTANTIATE(std::uint64_t)
RELGRAD_INSTANTIATE(double)
#undef RELGRAD_INSTANTIATE

}  // namespace relgrad
