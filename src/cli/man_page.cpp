// Pages for man, of the same tables as --help.
#include <fmt/format.h>

#include "core/build_info.hpp"
#include "help.hpp"
#include "help_parts.hpp"

namespace relgrad::cli {

namespace {

/// Text for troff: backslashes and hyphens as they stand, no line that begins like a macro.
std::string roff(const std::string& text) {
  std::string escaped;
  bool line_begins = true;
  for (const char c : text) {
    if (line_begins && (c == '.' || c == '\'')) escaped += "\\&";
    if (c == '\\') {
      escaped += "\\e";
    } else {
      if (c == '-') escaped += '\\';
      escaped += c;
    }
    line_begins = c == '\n';
  }
  return escaped;
}

std::string title(const std::string& name, const std::string& summary) {
  return fmt::format(".TH {} 1 \"\" \"relgrad {}\" \"relgrad\"\n.SH NAME\n{} \\- {}\n", roff(name),
                     build_info().version, roff(name), roff(summary));
}

std::string verbatim(const std::string& line) { return fmt::format(".EX\n{}\n.EE\n", roff(line)); }

std::string paragraph(const std::string& heading, const std::string& text) {
  return fmt::format(".TP\n.B {}\n{}\n", roff(heading), roff(text));
}

}  // namespace

std::string man_page(const Command& command) {
  std::string text = title("relgrad-" + command.name, command.summary) + ".SH SYNOPSIS\n";
  for (const std::string& usage : command.usage) {
    text += verbatim(fmt::format("relgrad {} {}", command.name, usage));
  }
  text += ".SH DESCRIPTION\n" + roff(command.summary) + "\n";
  if (!command.details.empty()) text += ".PP\n" + roff(command.details) + "\n";
  text += ".SH OPTIONS\n";
  for_each_in_groups(
      command.options,
      [&](const std::string& heading) { text += fmt::format(".SS {}\n", roff(heading)); },
      [&](const Option& option) {
        text += paragraph(with_value(option), option.meaning) +
                fmt::format(".br\n({})\n", roff(limits_line(option)));
      });
  text += ".SH EXIT STATUS\n";
  for (const int code : command.exit_codes) {
    text += paragraph(fmt::format("{}", code), std::string(meaning_of_exit_code(code)));
  }
  text += ".SH EXAMPLES\n";
  for (const Example& example : command.examples) {
    text += ".PP\n" + roff(example.meaning) + ":\n.PP\n" + verbatim(example.line);
  }
  return text + ".SH SEE ALSO\n.BR relgrad (1)\n";
}

std::string man_page(const std::vector<Command>& commands) {
  std::string text =
      title("relgrad", "exact-likelihood density models with full-matrix layers, over MPI") +
      ".SH SYNOPSIS\n" + verbatim("relgrad COMMAND [--option value ...]") + ".SH COMMANDS\n";
  for (const Command& command : commands) text += paragraph(command.name, command.summary);
  text += ".SH SEE ALSO\n";
  for (const Command& command : commands) {
    text += fmt::format(".BR relgrad\\-{} (1){}\n", roff(command.name),
                        &command == &commands.back() ? "" : ",");
  }
  return text;
}

}  // namespace relgrad::cli
