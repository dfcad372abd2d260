#include "option.hpp"

#include <utility>

namespace relgrad::cli {

Option choice_option(const std::string& name, std::string& target,
                     const std::vector<std::string>& choices, const std::string& meaning) {
  const auto set = [=, &target](const std::string& text) {
    target = read_choice(name, text, choices);
  };
  return {name,    "",
          "NAME",  target,
          "",      choices_text(choices),
          meaning, false,
          set,     [&target] { return target; }};
}

Option text_option(const std::string& name, std::string& target, const std::string& value,
                   const std::string& range, const std::string& meaning) {
  const auto set = [=, &target](const std::string& text) { target = read_path(name, text); };
  return {name, "", value, target, "", range, meaning, false, set, [&target] { return target; }};
}

Option place_option(const std::string& name, std::string& target, const std::string& value,
                    const std::string& range, const std::string& meaning) {
  Option option = text_option(name, target, value, range, meaning);
  option.get = nullptr;
  return option;
}

Option path_option(const std::string& name, std::filesystem::path& target, const std::string& value,
                   const std::string& meaning) {
  const auto set = [=, &target](const std::string& text) { target = read_path(name, text); };
  return {name, "", value, target.string(), "", "a path", meaning, false, set, nullptr};
}

Option paths_option(const std::string& name, std::vector<std::filesystem::path>& target,
                    const std::string& value, const std::string& meaning) {
  const auto set = [=, &target](const std::string& text) {
    target.push_back(read_path(name, text));
  };
  return {name, "", value + " ...", "", "", "paths", meaning, true, set, nullptr};
}

Option switch_option(const std::string& name, bool& target, const std::string& meaning) {
  const auto set = [=, &target](const std::string& text) { target = read_boolean(name, text); };
  return {name,    "",
          "",      target ? "true" : "false",
          "",      "true | false",
          meaning, false,
          set,     [&target] { return std::string(target ? "true" : "false"); }};
}

std::vector<Option> group(const std::string& heading, std::vector<Option> options) {
  for (Option& option : options) option.group = heading;
  return options;
}

std::vector<Option> joined(const std::vector<std::vector<Option>>& lists) {
  std::vector<Option> all;
  for (const std::vector<Option>& list : lists) all.insert(all.end(), list.begin(), list.end());
  return all;
}

}  // namespace relgrad::cli
