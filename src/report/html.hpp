#pragma once
/// Markup and text as two types: text becomes markup only escaped.
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace relgrad::reporting {

/// Markup, as a browser takes it.
class Html {
 public:
  Html() = default;
  explicit Html(std::string markup) : markup_(std::move(markup)) {}
  const std::string& markup() const { return markup_; }
  bool empty() const { return markup_.empty(); }
  Html& operator+=(const Html& more) {
    markup_ += more.markup_;
    return *this;
  }

 private:
  std::string markup_;
};

/// `text` with &, <, >, " and ' as entities, and U+FFFD in place of control characters.
std::string escaped(std::string_view text);

/// `pattern` (a constant of the program, as fmt::format has it) with its arguments: Html as it is,
/// everything else as escaped text.
template <class... Arguments>
requires(sizeof...(Arguments) > 0) Html
    html(std::string_view pattern, const Arguments&... arguments) {
  const auto inserted = []<class T>(const T& value) {
    if constexpr (std::is_same_v<T, Html>) {
      return value.markup();
    } else {
      return escaped(fmt::format("{}", value));
    }
  };
  return Html(fmt::format(fmt::runtime(pattern), inserted(arguments)...));
}

struct Column {
  std::string title;
  bool is_number = false;  // aligned to the right
};
/// A table that scrolls sideways where the screen is too narrow.
Html table(const std::vector<Column>& columns, const std::vector<std::vector<Html>>& rows);

/// A PNG as an image of the page itself. @param alternative  what it shows, for those who cannot
/// see
Html picture(std::string_view png, std::string_view alternative);

/// Bytes that picture() takes of the page for a PNG of `bytes`.
inline std::size_t bytes_of_picture(std::size_t bytes) { return (bytes + 2) / 3 * 4; }

}  // namespace relgrad::reporting
