#include "commands/info.hpp"

#include <fmt/format.h>

#include <memory>

#include "command.hpp"
#include "inspect_report.hpp"

namespace relgrad::cli {

Command info_command() {
  const auto options = std::make_shared<InfoOptions>();
  Command command;
  command.name = "info";
  command.summary =
      "Prints the build, its libraries, and the CPUs and memory of every rank: what a bug report "
      "needs.";
  command.usage = {"[--threads N] [--json]"};
  command.examples = {
      {"relgrad info", "this build on this machine"},
      {"mpirun -n 4 relgrad info --threads 2",
       "on which CPUs mpirun puts four ranks, and whether each has two of them for itself"},
      {"relgrad info --json", "the same for programs"}};
  command.exit_codes = {0, 1, 2};
  command.options = group(
      "Options",
      {number_option("threads", options->threads, Limits<std::int64_t>{.least = 1, .most = 1024},
                     "threads",
                     "per rank, as you would give it to other commands: checked against the CPUs"),
       switch_option("json", options->json, "print JSON instead of words")});
  command.run_on_ranks = [options](const mpi::Communicator& world) {
    const Report report = info(*options, world);
    if (world.is_root()) fmt::print("{}", options->json ? report.dump(2) + "\n" : in_words(report));
    return 0;
  };
  return command;
}

}  // namespace relgrad::cli
