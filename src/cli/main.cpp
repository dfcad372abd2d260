// relgrad COMMAND [options]: finds the command, reads its options, starts MPI if it needs ranks.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <string>
#include <thread>
#include <vector>

#include "command.hpp"
#include "help.hpp"
#include "ignored_signals.hpp"
#include "parse.hpp"
#include "process.hpp"
#include "relgrad/core/escaped.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/core/standard_streams.hpp"
#include "relgrad/linalg/products.hpp"
#include "relgrad/mpi/session.hpp"
#include "start_agreement.hpp"

namespace relgrad::cli {

void require(const std::string& command, const std::string& name, const std::string& value,
             const std::string& meaning) {
  if (value.empty()) {
    throw UsageError(fmt::format("{}: --{} is missing ({}); relgrad {} --help shows examples",
                                 command, name, meaning, command));
  }
}

namespace {

/// Every process of a job reads the same line, and the first of them answers for all.
bool another_rank_answers() {
  return rank_from_environment() != 0 && world_size_from_environment() > 1;
}

/// A launcher ends the whole job when one rank leaves with an error: a rank that is still there
/// after rank 0 had its time is alone with its error, and tells it.
void tell(const Error& error) {
  std::string who;
  if (another_rank_answers()) {
    std::this_thread::sleep_for(std::chrono::seconds(2));
    who = fmt::format("rank {}: ", rank_from_environment());
  }
  log_error(who + error.what(), error.code() == ExitCode::internal);
}

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::vector<Command> all_commands(const std::string& command_line) {
  return {prepare_command(command_line),
          train_command(),
          evaluate_command(),
          score_command(),
          encode_command(),
          sample_command(),
          export_command(),
          inspect_command(),
          report_command(),
          info_command(),
          audit_order_command(),
          plan_command(),
          bench_command()};
}

Command& find_command(std::vector<Command>& commands, const std::string& name) {
  std::vector<std::string> names;
  for (Command& command : commands) {
    if (command.name == name) return command;
    names.push_back(command.name);
  }
  throw UsageError(fmt::format("unknown command '{}'{}; there are: {}", name,
                               did_you_mean(name, names), choices_text(names)));
}

/// The answer to words that ask about the program or the command, if they do.
std::optional<std::string> answer(std::vector<Command>& commands,
                                  const std::vector<std::string>& words) {
  const std::string& first = words.front();
  if (first == "--version") return version_text();
  if (first == "--help-man") return man_page(commands);
  if (first == "--bash-completion") return bash_completion(commands);
  const bool asks = first == "help" || first == "--help" || first == "-h";
  if (asks && words.size() == 1) return overview(commands);
  const Command& command = find_command(commands, asks ? words[1] : first);
  if (contains(words, "--help-markdown")) return help_markdown(command);
  if (contains(words, "--help-man")) return man_page(command);
  if (asks || contains(words, "--help") || contains(words, "-h")) return help_text(command);
  return std::nullopt;
}

int run(Command& command, int argc, char** argv) {
  if (!command.run_on_ranks && world_size_from_environment() > 1) {
    throw UsageError(command.name + " runs in one process; start it without mpirun");
  }
  if (world_size_from_environment() <= 1) {
    if (const std::optional<int> code = command.run_alone()) return *code;
  }
  ensure_best_blas_kernels(argv);  // may execute this program again
  mpi::Session session(argc, argv);
  return session.run([&](const mpi::Communicator& world) {
    set_log_enabled(world.is_root());
    check_same_line(command, world);
    return command.run_on_ranks(world);
  });
}

/// Prints `text` once, though every rank of a job was asked for it.
int print_answer(const std::string& text, int argc, char** argv) {
  if (world_size_from_environment() <= 1) {
    fmt::print("{}", text);
    return 0;
  }
  mpi::Session session(argc, argv);
  return session.run([&](const mpi::Communicator& world) {
    check_same_question(fmt::format("{}", fmt::join(argv + 1, argv + argc, " ")), world);
    if (world.is_root()) fmt::print("{}", text);
    return 0;
  });
}

int main_or_throw(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  std::vector<Command> commands =
      all_commands("relgrad " + fmt::format("{}", fmt::join(words, " ")));
  if (words.empty()) {
    if (another_rank_answers()) throw UsageError("no command; relgrad --help lists them");
    write_log(overview(commands));
    return static_cast<int>(ExitCode::usage);
  }
  if (const std::optional<std::string> text = answer(commands, words)) {
    return print_answer(*text, argc, argv);
  }
  Command& command = find_command(commands, words.front());
  parse(command, {words.begin() + 1, words.end()});
  return run(command, argc, argv);
}

}  // namespace

}  // namespace relgrad::cli

int main(int argc, char** argv) {
  using namespace relgrad;
  cli::keep_ignored_signals();
  secure_standard_streams();
  try {
    const int exit_code = cli::main_or_throw(argc, argv);
    if (exit_code != static_cast<int>(ExitCode::disk)) flush_standard_output();  // else it is told
    return exit_code;
  } catch (const std::exception&) {
    const Error error = as_error(std::current_exception());
    cli::tell(error);
    return static_cast<int>(error.code());
  }
}
