#include "start_agreement.hpp"

#include <fmt/format.h>

#include "core/build_info.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/json.hpp"
#include "relgrad/mpi/agreement.hpp"

namespace relgrad::cli {

namespace {

using Line = nlohmann::ordered_json;  // in the order of --help: the first difference is told

Line line_of(const Command& command) {
  Line line = {
      {"version", build_info().version}, {"command", command.name}, {"what", command.positional}};
  for (const Option& option : command.options) {
    if (option.get && option.name != "threads") line["--" + option.name] = option.get();
  }
  return line;
}

void check_same(const Line& line, const mpi::Communicator& world) {
  const std::vector<std::string> texts = world.allgather_strings(json_text(line));
  for (std::size_t rank = 1; rank < texts.size(); ++rank) {
    if (texts[rank] == texts[0]) continue;
    const Line first = Line::parse(texts[0]);
    const Line other = Line::parse(texts[rank]);
    for (const auto& [name, value] : first.items()) {
      const std::string here = value.get<std::string>();
      const std::string there = other.value(name, std::string());
      if (there == here) continue;
      mpi::throw_on_all_ranks(UsageError(fmt::format(
          "{}: '{}' on rank {}, but '{}' on rank 0; start every rank with the same line", name,
          there, rank, here)));
    }
  }
}

}  // namespace

void check_same_line(const Command& command, const mpi::Communicator& world) {
  check_same(line_of(command), world);
}

void check_same_question(const std::string& words, const mpi::Communicator& world) {
  check_same({{"version", build_info().version}, {"command", words}}, world);
}

}  // namespace relgrad::cli
