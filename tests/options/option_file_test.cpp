#include "options/option_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "relgrad/core/error.hpp"

namespace relgrad {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

TEST(OptionFile, AnyValueReadsBack) {
  for (const std::string value :
       {"0.001", "d#1", " two blanks ", "a\nb", "\"quoted\"", "back\\slash", "tab\tend\r", "", "#",
        "x = y", "caf\xE9", "in \"the\" middle", "\\n"}) {
    EXPECT_THAT(parse_option_lines("a = 1\n" + option_line("data", value) + "b = 2\n"),
                ElementsAre(Pair("a", "1"), Pair("data", value), Pair("b", "2")))
        << option_line("data", value);
  }
  EXPECT_EQ(option_line("lr", "0.001"), "lr = 0.001\n");
}

TEST(OptionFile, ReadsWhatEditorsWrite) {
  EXPECT_THAT(parse_option_lines("\xEF\xBB\xBFlr=0.1 # a comment\r\n\r\n  # alone\nseed =  7"),
              ElementsAre(Pair("lr", "0.1"), Pair("seed", "7")));
}

TEST(OptionFile, RefusesOtherLinesAndNamesThem) {
  for (const char* line : {"lr 0.1", "= 3", "data = \"open", "data = \"a\" b", "data = \"\\x\"",
                           "[section]", "lr # = 3"}) {
    try {
      parse_option_lines("a = 1\n" + std::string(line) + "\n");
      ADD_FAILURE() << line;
    } catch (const UsageError& error) {
      EXPECT_THAT(error.what(), HasSubstr("line 2: '")) << line;
    }
  }
}

}  // namespace
}  // namespace relgrad
