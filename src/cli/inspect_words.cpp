#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "inspect_report.hpp"
#include "relgrad/core/json.hpp"
#include "relgrad/core/log.hpp"

namespace relgrad::cli {

namespace {

/// "val_bits_per_dim" -> "val bits per dim".
std::string label(std::string key) {
  std::replace(key.begin(), key.end(), '_', ' ');
  return key;
}

bool is_table(const Report& value) {
  return value.is_array() && !value.empty() && value.front().is_object();
}

bool is_shape(const Report& value) {
  return value.is_array() && std::all_of(value.begin(), value.end(),
                                         [](const Report& item) { return item.is_number(); });
}

/// A value that fits on a line: 1 x 28 x 28 for a shape.
std::string value_text(const Report& value) {
  if (value.is_null()) return "-";
  if (value.is_string()) return printable(value.get<std::string>());
  if (value.is_number_float()) return fmt::format("{:.6g}", value.get<double>());
  if (!is_shape(value) || value.empty()) return json_text(value);
  std::string text;
  for (const Report& extent : value) text += (text.empty() ? "" : " x ") + value_text(extent);
  return text;
}

std::string table_text(const Report& table, const std::string& indent) {
  std::vector<std::string> columns;
  for (const auto& [key, value] : table.front().items()) columns.push_back(key);
  std::map<std::string, std::size_t> width;
  for (const std::string& column : columns) {
    width[column] = label(column).size();
    for (const Report& row : table) {
      width[column] = std::max(width[column], value_text(row.value(column, Report())).size());
    }
  }
  const auto line = [&](const auto& cell_of) {
    std::string text = indent;
    for (const std::string& column : columns) {
      text += fmt::format("{:<{}}  ", cell_of(column), width[column]);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    return text + "\n";
  };
  std::string text = line(label);
  for (const Report& row : table) {
    text +=
        line([&](const std::string& column) { return value_text(row.value(column, Report())); });
  }
  return text;
}

std::string object_text(const Report& object, const std::string& indent) {
  std::size_t width = 0;
  for (const auto& [key, value] : object.items()) width = std::max(width, label(key).size());
  std::string text;
  for (const auto& [key, value] : object.items()) {
    if (is_table(value)) {
      text += fmt::format("{}{}:\n{}", indent, label(key), table_text(value, indent + "  "));
    } else if (value.is_object() && !value.empty()) {
      text += fmt::format("{}{}:\n{}", indent, label(key), object_text(value, indent + "  "));
    } else if (value.is_array() && !is_shape(value)) {
      text += fmt::format("{}{}:\n", indent, label(key));
      for (const Report& item : value) text += indent + "  " + value_text(item) + "\n";
    } else {
      const bool is_empty = value.is_structured() && value.empty();
      text += fmt::format("{}{:<{}}  {}\n", indent, label(key), width,
                          is_empty ? "none" : value_text(value));
    }
  }
  return text;
}

}  // namespace

std::string in_words(const Report& report) { return object_text(report, ""); }

}  // namespace relgrad::cli
