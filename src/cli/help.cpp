#include "help.hpp"

#include <fmt/format.h>

#include <Eigen/Core>
#include <algorithm>
#include <boost/version.hpp>

#include "core/build_info.hpp"
#include "help_parts.hpp"

namespace relgrad::cli {

std::string_view meaning_of_exit_code(int code) {
  switch (code) {
    case 0:
      return "done";
    case 1:
      return "internal error: a bug in relgrad";
    case 2:
      return "usage: unknown option, value out of range, directory in use";
    case 3:
      return "data: missing, damaged or unsuitable";
    case 4:
      return "checkpoint: missing, damaged or of another model";
    case 5:
      return "diverged: the log-likelihood or a parameter is no longer finite";
    case 6:
      return "disk: cannot write";
    case 7:
      return "hung: a rank made no progress for --watchdog-seconds";
    case 8:
      return "machine: not enough memory, threads or open files";
    case 75:
      return "stopped on request: start again (train: with --resume auto)";
    default:
      return "";
  }
}

std::string limits_line(const Option& option) {
  std::string line;
  if (!option.default_text.empty()) line += "default " + option.default_text + "; ";
  line += option.range;
  if (!option.unit.empty()) line += "; " + option.unit;
  return line;
}

std::string with_value(const Option& option) {
  return "--" + option.name + (option.is_switch() ? "" : " " + option.value);
}

namespace {

/// A cell of a Markdown table.
std::string cell(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '|' || c == '<' || c == '*') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

}  // namespace

std::string help_text(const Command& command) {
  std::string text = command.summary + "\n";
  if (!command.details.empty()) text += "\n" + command.details + "\n";
  text += "\nUsage:\n";
  for (const std::string& usage : command.usage) {
    text += fmt::format("  relgrad {} {}\n", command.name, usage);
  }
  text += "\nExamples:\n";
  for (const Example& example : command.examples) {
    text += fmt::format("  # {}\n  {}\n", example.meaning, example.line);
  }
  for_each_in_groups(
      command.options, [&](const std::string& heading) { text += fmt::format("\n{}:\n", heading); },
      [&](const Option& option) {
        text += fmt::format("  {:<27} {}\n", with_value(option), option.meaning);
        text += fmt::format("  {:<27} {}\n", "", limits_line(option));
      });
  text += "\nExit codes:\n";
  for (const int code : command.exit_codes) {
    text += fmt::format("  {:<3} {}\n", code, meaning_of_exit_code(code));
  }
  return text;
}

std::string help_markdown(const Command& command) {
  std::string text = fmt::format("# relgrad {}\n\n{}\n\n", command.name, command.summary);
  if (!command.details.empty()) text += command.details + "\n\n";
  text += "```text\n";
  for (const std::string& usage : command.usage) {
    text += fmt::format("relgrad {} {}\n", command.name, usage);
  }
  text += "```\n\n## Examples\n\n```bash\n";
  for (const Example& example : command.examples) {
    text += fmt::format("# {}\n{}\n", example.meaning, example.line);
  }
  text += "```\n";
  for_each_in_groups(
      command.options,
      [&](const std::string& heading) {
        text += fmt::format(
            "\n## {}\n\n| option | default | range | unit | meaning |\n|---|---|---|---|---|\n",
            heading);
      },
      [&](const Option& option) {
        text += fmt::format("| `{}` | {} | {} | {} | {} |\n", with_value(option),
                            cell(option.default_text), cell(option.range), cell(option.unit),
                            cell(option.meaning));
      });
  text += "\n## Exit codes\n\n| code | meaning |\n|---|---|\n";
  for (const int code : command.exit_codes) {
    text += fmt::format("| {} | {} |\n", code, meaning_of_exit_code(code));
  }
  return text + fmt::format(
                    "\nThis page is what `relgrad {} --help-markdown` prints "
                    "(`tools/make_docs` writes it).\n",
                    command.name);
}

std::string overview(const std::vector<Command>& commands) {
  std::string text =
      "relgrad trains exact-likelihood density models with full-matrix layers, over MPI.\n\n"
      "Usage:\n  relgrad COMMAND [--option value ...]\n  relgrad COMMAND --help\n"
      "  relgrad --version\n\nCommands:\n";
  for (const Command& command : commands) {
    text += fmt::format("  {:<11} {}\n", command.name, command.summary);
  }
  return text +
         "\nExample:\n"
         "  relgrad prepare --output data/images --synthetic images --rows 6000\n"
         "  mpirun -n 2 relgrad train --data data/images --run runs/first --epochs 2\n"
         "  relgrad evaluate --run runs/first --data data/images\n"
         "  relgrad sample --run runs/first --output samples.png\n";
}

std::string version_text() {
#ifdef NDEBUG
  const char* const build = "release";
#else
  const char* const build = "with assertions";
#endif
#ifdef RELGRAD_HAVE_ONEDNN
  const char* const products = "OpenBLAS, oneDNN";
#else
  const char* const products = "OpenBLAS";
#endif
  return fmt::format(
      "relgrad {}\nbuild     {}, compiler {}\nproducts  {}\nlibraries Eigen {}.{}.{}, Boost {}.{}, "
      "MPI, HDF5\n",
      build_info().version, build, build_info().compiler, products, EIGEN_WORLD_VERSION,
      EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION, BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000);
}

}  // namespace relgrad::cli
