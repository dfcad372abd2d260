#pragma once
/// A sub-command: what it says of itself, its options, and what it does.
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "option.hpp"
#include "relgrad/mpi/communicator.hpp"

namespace relgrad::cli {

struct Example {
  std::string line;     // works as it stands, after the ones before it in the README
  std::string meaning;  // one line
};

struct Command {
  std::string name;
  std::string summary;             // one sentence
  std::string details;             // a paragraph below it in its own help, or empty
  std::vector<std::string> usage;  // without "relgrad NAME "
  std::vector<Example> examples;
  std::vector<int> exit_codes;
  std::vector<Option> options;
  std::function<void(const std::string&)> set_positional;  // empty: takes none
  bool takes_many_positionals = false;                     // else one
  std::string positional;                                  // as it was given
  std::string config_option;  // name of the option that names a file of further options, or empty

  /// After all options are set, before MPI starts. @throws UsageError.
  std::function<void()> check = [] {};
  // Both return the exit code. What `run_alone` does needs no MPI; if it returns nothing, or if
  // there are several ranks, MPI is started and `run_on_ranks` called. A command without
  // run_on_ranks runs in one process only.
  std::function<std::optional<int>()> run_alone = [] { return std::nullopt; };
  std::function<int(const mpi::Communicator& world)> run_on_ranks;
};

Command prepare_command(const std::string& command_line);
Command train_command();
Command evaluate_command();
Command score_command();
Command encode_command();
Command sample_command();
Command export_command();
Command inspect_command();
Command report_command();
Command info_command();
Command audit_order_command();
Command bench_command();
Command plan_command();

/// @throws UsageError "relgrad COMMAND: --NAME is missing ..." if `value` is empty.
void require(const std::string& command, const std::string& name, const std::string& value,
             const std::string& meaning);

}  // namespace relgrad::cli
