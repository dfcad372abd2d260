#include "report/html.hpp"

#include <cstdint>

namespace relgrad::reporting {

std::string escaped(std::string_view text) {
  std::string markup;
  markup.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        markup += "&amp;";
        break;
      case '<':
        markup += "&lt;";
        break;
      case '>':
        markup += "&gt;";
        break;
      case '"':
        markup += "&quot;";
        break;
      case '\'':
        markup += "&#x27;";
        break;
      default:
        const bool is_control = (static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7f;
        markup += is_control ? std::string("\xEF\xBF\xBD") : std::string(1, c);
    }
  }
  return markup;
}

Html table(const std::vector<Column>& columns, const std::vector<std::vector<Html>>& rows) {
  const auto line = [&](std::string_view tag, const auto& cell_of) {
    Html cells;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      cells += html("<{}{}>{}</{}>", tag, Html(columns[i].is_number ? " class=\"number\"" : ""),
                    cell_of(i), tag);
    }
    return html("<tr>{}</tr>\n", cells);
  };
  Html lines;
  for (const std::vector<Html>& row : rows) {
    lines += line("td", [&](std::size_t i) { return row.at(i); });
  }
  return html(
      "<div class=\"scroll\"><table>\n<thead>{}</thead>\n<tbody>\n{}</tbody>\n</table></div>\n",
      line("th", [&](std::size_t i) { return html("{}", columns[i].title); }), lines);
}

namespace {

/// RFC 4648, section 4.
std::string base64(std::string_view bytes) {
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve(bytes_of_picture(bytes.size()));
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      group = group << 8U | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      text += k <= count ? digits[group >> (18 - 6 * k) & 63U] : '=';
    }
  }
  return text;
}

}  // namespace

Html picture(std::string_view png, std::string_view alternative) {
  return html("<img alt=\"{}\" src=\"data:image/png;base64,{}\">", alternative, Html(base64(png)));
}

}  // namespace relgrad::reporting
