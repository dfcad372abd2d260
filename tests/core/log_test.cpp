#include "relgrad/core/log.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace relgrad {
namespace {

TEST(Log, ALineThatCannotBeWrittenIsDropped) {
  const int kept = dup(STDERR_FILENO);
  const int full = open("/dev/full", O_WRONLY);
  for (const int stream : {full, -1}) {
    if (stream >= 0) {
      dup2(stream, STDERR_FILENO);
    } else {
      close(STDERR_FILENO);
    }
    EXPECT_NO_THROW(log_info("a line"));
    EXPECT_NO_THROW(log_warning("a line"));
    EXPECT_NO_THROW(log_error("a line"));
  }
  dup2(kept, STDERR_FILENO);
  close(kept);
  close(full);
}

TEST(Log, NamesReachTheTerminalWithoutTheirControlCharacters) {
  EXPECT_EQ(printable("a\x1b[31m\tb\r\n\x7f"), "a\\x1b[31m\\x09b\\x0d\\n\\x7f");
  EXPECT_EQ(printable("caf\xC3\xA9 \xC2\x9B"
                      "31m"),
            "caf\xC3\xA9 \\x9b31m");
  EXPECT_EQ(printable("not UTF-8: \xE9"), "not UTF-8: \xE9");

  testing::internal::CaptureStderr();
  log_info("file \x1b[2J");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "relgrad: file \\x1b[2J\n");
}

}  // namespace
}  // namespace relgrad
