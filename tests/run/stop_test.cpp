#include "run/stop.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

namespace relgrad {
namespace {

/// To this process, as others would; returns once a handler has run, or after 10 s.
void send(int number) {
  kill(getpid(), number);
  for (int i = 0; i < 10000; ++i) {
    sigset_t pending;
    sigpending(&pending);
    if (sigismember(&pending, number) == 0 && !StopSignals::received().empty()) return;
    usleep(1000);
  }
}

/// Whether the handler would run on the calling thread.
bool is_blocked_here(int number) {
  sigset_t blocked;
  pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  return sigismember(&blocked, number) == 1;
}

TEST(StopSignals, NeverInterruptTheThreadThatComputesNorThoseItStarts) {
  EXPECT_FALSE(is_blocked_here(SIGUSR1));
  {
    const StopSignals signals;
    EXPECT_TRUE(is_blocked_here(SIGUSR1));
    std::thread([] { EXPECT_TRUE(is_blocked_here(SIGTERM)); }).join();
  }
  EXPECT_FALSE(is_blocked_here(SIGUSR1));
}

TEST(StopSignals, RememberTheSignalThatCameByItsName) {
  for (const auto& [number, name] : {std::pair{SIGINT, "SIGINT"},
                                     {SIGUSR1, "SIGUSR1"},
                                     {SIGTERM, "SIGTERM"},
                                     {SIGHUP, "SIGHUP"},
                                     {SIGQUIT, "SIGQUIT"},
                                     {SIGUSR2, "SIGUSR2"},
                                     {SIGXCPU, "SIGXCPU"}}) {
    const StopSignals signals;
    EXPECT_EQ(StopSignals::received(), "");
    send(number);
    EXPECT_EQ(StopSignals::received(), name);
  }
}

TEST(StopSignals, ThatWereIgnoredBeforeStayIgnored) {
  for (const int number : {SIGINT, SIGHUP}) {
    signal(number, SIG_IGN);
    {
      const StopSignals signals;
      kill(getpid(), number);
      send(SIGUSR2);
      EXPECT_EQ(StopSignals::received(), "SIGUSR2");
    }
    kill(getpid(), number);  // would end this process
    signal(number, SIG_DFL);
    signal(SIGUSR2, SIG_DFL);
  }
}

TEST(StopSignals, ARequestThatWasHeardMayRepeatWhileTheProcessLeaves) {
  const pid_t child = fork();
  if (child == 0) {
    {
      const StopSignals signals;
      send(SIGUSR1);
    }
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGTERM);
    _exit(75);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status)) << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 75);
}

TEST(StopSignals, SigintAfterARequestLeavesAtOnceButTheOthersMayRepeat) {
  const pid_t child = fork();
  if (child == 0) {
    const StopSignals signals;
    send(SIGUSR1);
    send(SIGUSR1);
    send(SIGTERM);
    send(SIGTERM);
    send(SIGINT);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 128 + SIGINT);
}

TEST(StopRequests, LeaveTimeForWorkOnlyWhereItIsKnown) {
  using enum StopRequest::Kind;
  const TrainOptions options;
  const StopRequests unknown(options, nullptr);
  EXPECT_TRUE(unknown.leaves_time(budget, 1000));
  EXPECT_TRUE(unknown.leaves_time(asked, 1000));
  EXPECT_FALSE(unknown.leaves_time(warned, 0.001));
  EXPECT_FALSE(unknown.leaves_time(ordered, 0.001));
}

TEST(AllocationEnd, IsNearWithinTheMarginAndWhatAStepAndASaveTake) {
  const AllocationEnd end("100000", 120, 90000);

  EXPECT_FALSE(end.is_near(99879, 0));
  EXPECT_TRUE(end.is_near(99881, 0));
  EXPECT_FALSE(end.is_near(99579, 300));
  EXPECT_TRUE(end.is_near(99581, 300));
  EXPECT_TRUE(end.is_near(100001, 0));
}

TEST(AllocationEnd, LeavesAnAllocationShorterThanTheMarginHalfOfItsTime) {
  const AllocationEnd end("100000", 120, 99940);

  EXPECT_FALSE(end.is_near(99969, 0));
  EXPECT_TRUE(end.is_near(99971, 0));
}

TEST(AllocationEnd, ThatIsOverWhenTheRunStartsIsNearAtOnce) {
  EXPECT_TRUE(AllocationEnd("100000", 120, 100500).is_near(100500, 0));
}

TEST(AllocationEnd, IsNeverNearWhereNoneIsKnownOrWanted) {
  testing::internal::CaptureStderr();
  EXPECT_FALSE(AllocationEnd(nullptr, 120, 99999).is_near(200000, 1000));
  EXPECT_FALSE(AllocationEnd("100000", 0, 99999).is_near(200000, 1000));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  for (const char* text : {"", "NONE", "12:30", "-5", "100000s"}) {
    testing::internal::CaptureStderr();
    EXPECT_FALSE(AllocationEnd(text, 120, 99999).is_near(200000, 1000));
    EXPECT_NE(testing::internal::GetCapturedStderr().find("is not a time"), std::string::npos);
  }
}

}  // namespace
}  // namespace relgrad
