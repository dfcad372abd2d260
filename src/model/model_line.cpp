#include "relgrad/model/model_line.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

constexpr std::size_t most_layers = 10000;
constexpr int most_repeats = 1000;
constexpr int deepest = 16;

std::optional<double> number_of(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

std::vector<std::string_view> parts_of(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0;;) {
    const std::size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    if (end == text.size()) return parts;
    begin = end + 1;
  }
}

/// KIND[:NUMBER ...][:WORD ...], for messages.
std::string usage_of(const LayerSyntax& syntax) {
  std::string text = syntax.kind;
  for (const LayerNumber& number : syntax.numbers) text += fmt::format("[:{}]", number.name);
  std::vector<std::string> words;
  for (const LayerWord& word : syntax.words) words.push_back(word.word);
  if (!words.empty()) text += fmt::format("[:{}]", fmt::join(words, "|"));
  return text;
}

class Parser {
 public:
  Parser(std::string_view line, const LayerDefaults& defaults) : line_(line), defaults_(defaults) {}

  std::vector<LayerSpec> parse() {
    std::vector<LayerSpec> layers = sequence(0);
    if (at_ < line_.size()) fail("')' without '('");
    if (layers.empty()) fail("no layer; try \"3*(linear spline)\"");
    return layers;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw UsageError(fmt::format("--model: at character {}: {}", at_ + 1, what));
  }
  void skip_blanks() {
    while (at_ < line_.size() && (line_[at_] == ' ' || line_[at_] == '\t')) ++at_;
  }

  std::vector<LayerSpec> sequence(int depth) {
    if (depth > deepest) fail(fmt::format("more than {} parentheses inside one another", deepest));
    std::vector<LayerSpec> layers;
    for (;;) {
      skip_blanks();
      if (at_ == line_.size() || line_[at_] == ')') return layers;
      const int count = repeats();
      const std::vector<LayerSpec> once = item(depth);
      if (layers.size() + once.size() * static_cast<std::size_t>(count) > most_layers) {
        fail(fmt::format("more than {} layers", most_layers));
      }
      for (int i = 0; i < count; ++i) layers.insert(layers.end(), once.begin(), once.end());
    }
  }

  /// N of "N*", or 1.
  int repeats() {
    std::size_t end = at_;
    while (end < line_.size() && line_[end] >= '0' && line_[end] <= '9') ++end;
    if (end == at_ || end == line_.size() || line_[end] != '*') return 1;
    const auto count = number_of(line_.substr(at_, end - at_));
    if (!count || *count < 1 || *count > most_repeats) {
      fail(fmt::format("'{}' repeats; a count must be 1 to {}", line_.substr(at_, end - at_),
                       most_repeats));
    }
    at_ = end + 1;
    return static_cast<int>(*count);
  }

  std::vector<LayerSpec> item(int depth) {
    if (at_ < line_.size() && line_[at_] == '(') {
      const std::size_t open = at_++;
      std::vector<LayerSpec> layers = sequence(depth + 1);
      if (at_ == line_.size()) {
        at_ = open;
        fail("'(' without ')'");
      }
      ++at_;
      return layers;
    }
    const std::size_t end = std::min(line_.find_first_of(" \t()", at_), line_.size());
    const LayerSpec layer = word(line_.substr(at_, end - at_));
    at_ = end;
    return {layer};
  }

  LayerSpec word(std::string_view text) const {
    const std::vector<std::string_view> parts = parts_of(text, ':');
    const std::string kind(parts[0]);
    const auto syntax = std::ranges::find(layer_syntax(), kind, &LayerSyntax::kind);
    if (syntax == layer_syntax().end()) {
      fail(fmt::format("'{}' is no layer; there are {}", kind, fmt::join(layer_kinds(), ", ")));
    }
    LayerSpec spec{kind, {}};
    for (const LayerNumber& number : syntax->numbers) {
      spec.settings[number.name] = number.usual;
      const auto of_kind = defaults_.find(kind);
      if (of_kind == defaults_.end() || !of_kind->second.contains(number.name)) continue;
      spec.settings[number.name] = of_kind->second.at(number.name);
    }
    std::size_t numbers = 0;
    for (std::size_t i = 1; i < parts.size(); ++i) {
      const auto found = std::ranges::find(syntax->words, parts[i], &LayerWord::word);
      if (found != syntax->words.end()) {
        spec.settings[found->name] = found->value;
        continue;
      }
      const auto value = number_of(parts[i]);
      if (!value || numbers == syntax->numbers.size()) {
        fail(
            fmt::format("'{}': '{}' is not expected; write {}", text, parts[i], usage_of(*syntax)));
      }
      spec.settings[syntax->numbers[numbers++].name] = *value;
    }
    return spec;
  }

  std::string_view line_;
  const LayerDefaults& defaults_;
  std::size_t at_ = 0;
};

/// A name with sizes, NAME:LEVELSxSTEPS[:HIDDEN].
struct SizedName {
  int levels;
  int steps;
  int hidden;
};

SizedName sized_name(std::string_view name, int usual_hidden) {
  const std::vector<std::string_view> parts = parts_of(name, ':');
  const std::string usage =
      fmt::format("write {}:LEVELSxSTEPS[:HIDDEN], e.g. {}:2x4:32", parts[0], parts[0]);
  const std::vector<std::string_view> sizes =
      parts.size() > 1 ? parts_of(parts[1], 'x') : std::vector<std::string_view>();
  const auto whole = [&](std::string_view text, double most) {
    const auto value = number_of(text);
    if (!value || *value < 1 || *value > most || *value != static_cast<int>(*value)) {
      throw UsageError(
          fmt::format("--model: '{}': '{}' must be a whole number from 1 to {:.0f}; {}", name, text,
                      most, usage));
    }
    return static_cast<int>(*value);
  };
  if (sizes.size() != 2 || parts.size() > 3) {
    throw UsageError(fmt::format("--model: '{}': {}", name, usage));
  }
  return {whole(sizes[0], 12), whole(sizes[1], most_repeats),
          parts.size() == 3 ? whole(parts[2], 1e5) : usual_hidden};
}

/// glow:2x16:512
std::string glow(std::string_view name) {
  const SizedName size = sized_name(name, 512);
  std::string line;
  for (int level = 1; level <= size.levels; ++level) {
    line += fmt::format("{}squeeze {}*(actnorm conv:1 coupling:{})", level > 1 ? " " : "",
                        size.steps, size.hidden);
    if (level < size.levels) line += fmt::format(" split:{}", size.hidden);
  }
  return line;
}

/// conv-coupling:2x4:32
std::string conv_coupling(std::string_view name) {
  const SizedName size = sized_name(name, 32);
  std::string line = "spectral spline:8";
  for (int level = 1; level <= size.levels; ++level) {
    line +=
        fmt::format(" squeeze {}*(conv:3:circular coupling:{} spline:8)", size.steps, size.hidden);
  }
  return line;
}

/// The line that a name stands for, or the line itself.
std::string expanded(std::string_view line) {
  const std::size_t begin = std::min(line.find_first_not_of(" \t"), line.size());
  const std::size_t end = line.find_last_not_of(" \t") + 1;
  const std::string_view name = line.substr(begin, end - begin);
  if (name == "snf-conv") {
    return "3*(conv:3 spline:5:10) squeeze 3*(conv:3 spline:5:10) squeeze 2*(conv:3 spline:5:10) "
           "conv:3";
  }
  if (name == "glow" || name.starts_with("glow:")) return glow(name);
  if (name == "conv-coupling" || name.starts_with("conv-coupling:")) return conv_coupling(name);
  return std::string(line);
}

}  // namespace

std::vector<LayerSpec> parse_model_line(std::string_view line, const LayerDefaults& defaults) {
  const std::string text = expanded(line);
  return Parser(text, defaults).parse();
}

std::string model_word(const LayerSpec& spec) {
  std::string text = spec.kind;
  const auto syntax = std::ranges::find(layer_syntax(), spec.kind, &LayerSyntax::kind);
  if (syntax == layer_syntax().end()) return text;
  for (const LayerNumber& number : syntax->numbers) {
    const auto found = spec.settings.find(number.name);
    text += fmt::format(":{}", found == spec.settings.end() ? number.usual : found->second);
  }
  for (const LayerWord& word : syntax->words) {
    const auto found = spec.settings.find(word.name);
    if (word.value != 0 && found != spec.settings.end() && found->second == word.value) {
      text += ":" + word.word;
    }
  }
  return text;
}

std::string model_line(const std::vector<LayerSpec>& layers) {
  constexpr std::size_t longest = 8;
  std::vector<std::string> words;
  for (const LayerSpec& layer : layers) words.push_back(model_word(layer));
  std::vector<std::string> items;
  for (std::size_t i = 0; i < words.size();) {
    // the shortest period that repeats
    std::size_t best_period = 1;
    std::size_t best_count = 1;
    for (std::size_t period = 1; period <= std::min(longest, words.size() - i); ++period) {
      std::size_t count = 1;
      while (i + (count + 1) * period <= words.size() &&
             std::equal(words.begin() + static_cast<std::ptrdiff_t>(i),
                        words.begin() + static_cast<std::ptrdiff_t>(i + period),
                        words.begin() + static_cast<std::ptrdiff_t>(i + count * period))) {
        ++count;
      }
      if (count > 1) {
        best_period = period;
        best_count = count;
        break;
      }
    }
    const std::string once = fmt::format(
        "{}", fmt::join(words.begin() + static_cast<std::ptrdiff_t>(i),
                        words.begin() + static_cast<std::ptrdiff_t>(i + best_period), " "));
    items.push_back(best_count == 1    ? once
                    : best_period == 1 ? fmt::format("{}*{}", best_count, once)
                                       : fmt::format("{}*({})", best_count, once));
    i += best_count * best_period;
  }
  return fmt::format("{}", fmt::join(items, " "));
}

}  // namespace relgrad
