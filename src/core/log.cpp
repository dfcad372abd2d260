#include "relgrad/core/log.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

namespace relgrad {

namespace {

bool enabled_here = true;  // the process's voice: set once at start, nothing computes from it

/// The C1 controls U+0080 ... U+009F, of which some terminals take U+009B for escape and bracket,
/// are C2 80 ... C2 9F in UTF-8.
bool is_c1_control(std::string_view text, std::size_t i) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  return byte(i) == 0xC2 && i + 1 < text.size() && byte(i + 1) >= 0x80 && byte(i + 1) <= 0x9F;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string safe;
  safe.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (text[i] == '\n') {
      safe += "\\n";
    } else if (byte < 0x20 || byte == 0x7F) {
      safe += fmt::format("\\x{:02x}", byte);
    } else if (is_c1_control(text, i)) {
      safe += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[++i]));
    } else {
      safe += text[i];
    }
  }
  return safe;
}

void set_log_enabled(bool enabled) { enabled_here = enabled; }

void write_log(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

void log_info(std::string_view message) {
  if (enabled_here) write_log(fmt::format("relgrad: {}\n", printable(message)));
}

void log_warning(std::string_view message) {
  if (enabled_here) write_log(fmt::format("relgrad: warning: {}\n", printable(message)));
}

void log_error(std::string_view message, bool is_bug) {
  write_log(fmt::format("relgrad: {}error: {}\n", is_bug ? "internal " : "", printable(message)));
}

}  // namespace relgrad
