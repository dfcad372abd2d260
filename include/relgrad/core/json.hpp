#pragma once
/// JSON from files and to files. Files may hold anything.
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace relgrad {

/// `text` as JSON. @throws nlohmann::json::exception, also where arrays and objects lie more than
/// 100 deep in one another: what reads, copies or prints a value goes as deep on the stack.
template <class Json = nlohmann::json>
Json parse_json(std::string_view text);
/// The same; a discarded value where that throws.
template <class Json = nlohmann::json>
Json parse_json_or_discard(std::string_view text) {
  try {
    return parse_json<Json>(text);
  } catch (const nlohmann::json::exception&) {
    return Json(nlohmann::json::value_t::discarded);
  }
}

/// `value` as text; bytes that are no UTF-8 (of a path, say) become U+FFFD.
/// @param indent  -1: one line
template <class Json>
std::string json_text(const Json& value, int indent = -1) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace relgrad
