#pragma once
/// The words for the values of an enumeration, in options, manifests and messages: one table serves
/// both ways.
#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace relgrad {

template <class E, std::size_t count>
using Names = std::array<std::pair<E, std::string_view>, count>;

/// The word for `value`; "unknown" if the table has none.
template <class E, std::size_t count>
constexpr std::string_view word_for(const Names<E, count>& names, E value) {
  for (const auto& [named, word] : names) {
    if (named == value) return word;
  }
  return "unknown";
}

/// What `word` stands for; nothing if the table does not have it.
template <class E, std::size_t count>
std::optional<E> value_for(const Names<E, count>& names, std::string_view word) {
  const auto found = std::ranges::find(names, word, &std::pair<E, std::string_view>::second);
  return found == names.end() ? std::nullopt : std::optional(found->first);
}

/// All words, as messages list them: "adam, momentum, natural, sgd".
template <class E, std::size_t count>
std::string all_words(const Names<E, count>& names) {
  std::string all;
  for (const auto& [value, word] : names) all += (all.empty() ? "" : ", ") + std::string(word);
  return all;
}

}  // namespace relgrad
