#include "run/run_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <sstream>

#include "relgrad/core/error.hpp"
#include "relgrad/mpi/communicator.hpp"
#include "run/resume.hpp"
#include "support/temporary_directory.hpp"

namespace relgrad {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string content(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

/// The id of a process that has ended.
pid_t dead_process() {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  return child;
}

class RunDirectoryTest : public testing::Test {
 protected:
  void lock(const std::string& host, std::int64_t pid, const std::string& job = "") const {
    write(run_ / "LOCK", nlohmann::json{{"host", host}, {"pid", pid}, {"job", job}}.dump());
  }
  std::string trouble(bool may_exist = true) const {
    try {
      const RunDirectory directory(run_, may_exist);
      return "";
    } catch (const UsageError& error) {
      return error.what();
    }
  }

  const test::TemporaryDirectory directory_;
  const fs::path run_ = directory_.path() / "runs" / "first";
};

TEST_F(RunDirectoryTest, IsLockedWhileItIsOpenAndFreeAfterwards) {
  write(run_ / "config.ini", "");
  {
    const RunDirectory first(run_, true);
    EXPECT_THAT(trouble(), HasSubstr("in use by process " + std::to_string(getpid()) + " on "));
    EXPECT_TRUE(fs::exists(run_ / "LOCK"));
  }
  EXPECT_FALSE(fs::exists(run_ / "LOCK"));
  EXPECT_EQ(trouble(), "");
}

TEST_F(RunDirectoryTest, TakesOverTheLockOfADeadProcess) {
  lock(mpi::host_name(), dead_process());
  EXPECT_EQ(trouble(), "");
}

TEST_F(RunDirectoryTest, TakesOverTheLockOfAProcessThatEndedAndNobodyWaitedFor) {
  const pid_t zombie = fork();
  if (zombie == 0) _exit(0);
  siginfo_t info;
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(zombie), &info, WEXITED | WNOWAIT), 0);

  lock(mpi::host_name(), zombie);

  EXPECT_EQ(trouble(), "");
  waitpid(zombie, nullptr, 0);
}

TEST_F(RunDirectoryTest, TakesOverTheLockOfAProcessWhoseNumberIsAnothersNow) {
  write(run_ / "LOCK",
        nlohmann::json{{"host", mpi::host_name()}, {"pid", 1}, {"started", "no"}}.dump());
  EXPECT_EQ(trouble(), "");
  for (const pid_t number : {1, getppid(), getpid()}) {  // alive, but none of them holds the lock
    lock(mpi::host_name(), number);
    EXPECT_EQ(trouble(), "");
  }
}

TEST_F(RunDirectoryTest, ALockThatCannotBeWrittenLeavesNothing) {
  fs::create_directories(run_ / "LOCK");
  EXPECT_THROW(RunDirectory(run_, true), DiskError);
  EXPECT_TRUE(fs::is_directory(run_ / "LOCK"));
}

TEST_F(RunDirectoryTest, SetsLaterCheckpointsAsideAndNothingElse) {
  const RunDirectory run(run_, true);
  for (const std::string name :
       {"step-000000005", "step-000000006", "step-", "step-7x", "step-99999999999999999999"})
    fs::create_directories(run_ / "ckpt" / name);

  run.set_aside_checkpoints_after(5);

  std::set<std::string> left;
  for (const auto& entry : fs::directory_iterator(run_ / "ckpt"))
    left.insert(entry.path().filename().string());
  EXPECT_EQ(left, (std::set<std::string>{"step-000000005", ".stale-step-000000006", "step-",
                                         "step-7x", "step-99999999999999999999"}));
}

TEST_F(RunDirectoryTest, TakesOverALockThatCannotBeRead) {
  write(run_ / "LOCK", "{\"host\": ");
  EXPECT_EQ(trouble(), "");
}

TEST_F(RunDirectoryTest, RespectsTheLockOfAnotherHostUnlessItIsOfTheSameJob) {
  lock("another-host", 1, "job 7");
  EXPECT_THAT(trouble(), HasSubstr("in use by process 1 on another-host"));
  ::setenv("SLURM_JOB_ID", "job 8", 1);
  EXPECT_NE(trouble(), "");
  ::setenv("SLURM_JOB_ID", "job 7", 1);
  EXPECT_EQ(trouble(), "");
  ::unsetenv("SLURM_JOB_ID");
}

TEST_F(RunDirectoryTest, HoldingARunIsRefusedUnlessItMayBe) {
  const std::string text = std::string(config_heading) + "\nlayers = 2\n";
  write(run_ / "config.ini", text);
  EXPECT_THAT(trouble(false), HasSubstr("already holds a run; continue it with --resume auto"));
  EXPECT_EQ(trouble(true), "");
  EXPECT_EQ(content(run_ / "config.ini"), text);
}

TEST_F(RunDirectoryTest, ThatWasMadeForNothingIsRemoved) {
  EXPECT_EQ(trouble(), "");
  EXPECT_FALSE(fs::exists(run_));
  fs::create_directories(run_);
  EXPECT_EQ(trouble(), "");
  EXPECT_TRUE(fs::exists(run_)) << "it was there before";
  fs::remove(run_);
  RunDirectory(run_, false).write_config("layers = 2\n");
  EXPECT_EQ(content(run_ / "config.ini"), "layers = 2\n");
}

TEST_F(RunDirectoryTest, BelowAFileIsADiskError) {
  write(directory_.path() / "file", "kept");
  EXPECT_THROW(RunDirectory(directory_.path() / "file" / "run", true), DiskError);
  EXPECT_EQ(content(directory_.path() / "file"), "kept");
}

TEST_F(RunDirectoryTest, CutsTheLinesPastAStepAndThoseHalfWritten) {
  RunDirectory run(run_, true);
  run.cut_metrics(5);  // no file yet: nothing to cut
  for (const int step : {1, 5, 6}) run.append_metrics({{"step", step}});
  std::ofstream(run_ / "metrics.jsonl", std::ios::app) << "{\"step\": 2";

  run.cut_metrics(5);

  EXPECT_EQ(content(run_ / "metrics.jsonl"), "{\"step\":1}\n{\"step\":5}\n");
  run.cut_metrics(-1);
  EXPECT_EQ(content(run_ / "metrics.jsonl"), "");
}

TEST_F(RunDirectoryTest, SeesTheFileStopAndDoesNotOpenAgainWhileItIsThere) {
  {
    const RunDirectory run(run_, true);
    EXPECT_FALSE(run.stop_requested());
    write(run_ / "STOP", "");
    EXPECT_TRUE(run.stop_requested());
  }
  EXPECT_THROW(RunDirectory(run_, true), UsageError);
  fs::remove(run_ / "STOP");
  EXPECT_NO_THROW(RunDirectory(run_, true));
}

TEST_F(RunDirectoryTest, FilesOfSomethingElseAreNotWrittenOver) {
  for (const char* name : {"config.ini", "metrics.jsonl", "STATUS", "LATEST", "LOCK"}) {
    write(run_ / name, "mine");
    EXPECT_THAT(trouble(true), HasSubstr(std::string(name) + " is of no run of relgrad")) << name;
    EXPECT_NE(trouble(false), "") << name;
    EXPECT_EQ(content(run_ / name), "mine");
    fs::remove(run_ / name);
    fs::create_symlink(directory_.path() / "nothing", run_ / name);
    EXPECT_NE(trouble(true), "") << name;
    fs::remove(run_ / name);
  }
  EXPECT_EQ(trouble(true), "");
}

TEST_F(RunDirectoryTest, ThatWasMovedIsNotWrittenToAnyMoreAndTheNextRunsLockStays) {
  std::optional<RunDirectory> first(std::in_place, run_, true);
  first->write_config("first");
  EXPECT_TRUE(first->is_ours());
  fs::rename(run_, directory_.path() / "moved");
  const RunDirectory second(run_, true);

  EXPECT_FALSE(first->is_ours());
  EXPECT_THROW(first->check_ours(), DiskError);
  EXPECT_THROW(first->write_config("again"), DiskError);
  EXPECT_THROW(first->cut_metrics(-1), DiskError);
  EXPECT_THROW(first->set_aside_checkpoints_after(0), DiskError);
  first->append_metrics({{"step", 1}});
  first->write_status({{"state", "failed"}});
  first.reset();

  EXPECT_TRUE(second.is_ours());
  EXPECT_EQ(std::distance(fs::directory_iterator(run_), {}), 1) << "LOCK alone";
  EXPECT_EQ(content(directory_.path() / "moved" / "config.ini"), "first");
}

TEST_F(RunDirectoryTest, CutsValidationsAtAStopAndLinesWithoutANumberAsStep) {
  RunDirectory run(run_, true);
  run.append_metrics({{"kind", "val"}, {"step", 3}, {"at_stop", true}});
  run.append_metrics({{"step", "x"}});
  run.append_metrics({{"step", 4}});
  run.cut_metrics(5);
  EXPECT_EQ(content(run_ / "metrics.jsonl"), "{\"step\":4}\n");
}

}  // namespace
}  // namespace relgrad
