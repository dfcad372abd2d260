#pragma once
/// Values of options as text. Every command reads them here, so that the same mistake is answered
/// in the same words: option, value, limit, remedy.
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace relgrad {

/// The values an option may take; its text ("> 0", "2 ... 256") is what --help and errors show.
template <class Number>
struct Limits {
  Number least = std::numeric_limits<Number>::lowest();
  Number most = std::numeric_limits<Number>::max();
  bool least_allowed = true;
  bool most_allowed = true;
  bool contains(Number value) const;
  std::string text() const;
};
template <class Number>
Limits<Number> at_least(Number least) {
  return {.least = least};
}
template <class Number>
Limits<Number> above(Number least) {
  return {.least = least, .least_allowed = false};
}

/// `text` as a std::int64_t, std::uint64_t or finite double in `range`.
/// @param option   name without dashes, for the message
/// @param example  a value that works, for the message
/// @throws UsageError "--lr: -1 is out of range (> 0); try 0.001".
template <class Number>
Number read_number(const std::string& option, const std::string& text, const Limits<Number>& range,
                   Number example);

/// true, on, yes, 1 or false, off, no, 0. @throws UsageError.
bool read_boolean(const std::string& option, const std::string& text);

/// `text` if it is one of `choices`. @throws UsageError that lists them, with the nearest one.
std::string read_choice(const std::string& option, const std::string& text,
                        const std::vector<std::string>& choices);

/// `text` unless it is empty. @throws UsageError.
std::string read_path(const std::string& option, const std::string& text);

/// The shortest text that reads back to the same value.
template <class Number>
std::string number_text(Number value);

/// "a | b | c".
std::string choices_text(const std::vector<std::string>& choices);

/// "; did you mean NAME?" for the name fewest edits away from `text`, empty if none is near: at
/// most two edits, or a third of the length of `text`.
std::string did_you_mean(const std::string& text, const std::vector<std::string>& names,
                         const std::string& prefix = "");

}  // namespace relgrad
