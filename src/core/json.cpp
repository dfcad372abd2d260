#include "relgrad/core/json.hpp"

namespace relgrad {

namespace {

struct TooDeep : nlohmann::json::exception {
  TooDeep() : exception(416, "arrays and objects lie too deep in one another") {}
};

}  // namespace

template <class Json>
Json parse_json(std::string_view text) {
  constexpr int deepest = 100;
  return Json::parse(text, [](int depth, typename Json::parse_event_t, Json&) {
    if (depth > deepest) throw TooDeep();
    return true;
  });
}

template nlohmann::json parse_json(std::string_view);
template nlohmann::ordered_json parse_json(std::string_view);

}  // namespace relgrad
