#include "relgrad/train/stop.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace relgrad {
namespace {

TEST(StopSignals, RememberTheSignalThatCameByItsName) {
  for (const auto& [number, name] :
       {std::pair{SIGINT, "SIGINT"}, {SIGUSR1, "SIGUSR1"}, {SIGTERM, "SIGTERM"}}) {
    const StopSignals signals;
    EXPECT_EQ(StopSignals::received(), "");
    std::raise(number);
    EXPECT_EQ(StopSignals::received(), name);
  }
}

TEST(StopSignals, ASecondRequestLeavesAtOnceButSigusr1MayRepeat) {
  const pid_t child = fork();
  if (child == 0) {
    const StopSignals signals;
    std::raise(SIGUSR1);
    std::raise(SIGUSR1);
    std::raise(SIGTERM);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 128 + SIGTERM);
}

}  // namespace
}  // namespace relgrad
