// A save killed after each of its phases: what was there before, or the new checkpoint, is whole.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <set>

#include "relgrad/checkpoint/checkpoint.hpp"
#include "relgrad/mpi/session.hpp"
#include "support/temporary_directory.hpp"

namespace relgrad::checkpoint {
namespace {

namespace fs = std::filesystem;

Matrix<double> weight_of(std::int64_t step) {
  return Matrix<double>::NullaryExpr(
      6, 6, [step](Index i, Index j) { return static_cast<double>(step * 100 + i * 10 + j); });
}

/// Saves `step` in a process of its own, with one rank, which dies after `phase` ("" for never).
/// Returns the status of waitpid.
int save_in_child(const fs::path& run, std::int64_t step, const std::string& phase) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (!phase.empty()) ::setenv("RELGRAD_FAULT", ("checkpoint:" + phase).c_str(), 1);
    std::string name = "kill_test";
    char* arguments[] = {name.data(), nullptr};
    int count = 1;
    char** values = arguments;
    int code = 1;
    {
      mpi::Session session(count, values);
      code = session.run([&](const mpi::Communicator& world) {
        const Matrix<double> weight = weight_of(step);
        const SaveResult result =
            save(world, run, step, {{"step", step}},
                 {{"layer/0/W", TensorType::float64, 6, 6, 0, 6, weight.data()}},
                 {/*keep_last=*/2, 0, 0});
        return result.saved && result.trouble.empty() ? 0 : 1;
      });
    }
    ::_exit(code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

std::set<std::int64_t> whole_checkpoints(const fs::path& run) {
  std::set<std::int64_t> steps;
  for (const Found& found : list(run)) {
    const auto step = found.manifest.at("step").get<std::int64_t>();
    steps.insert(step);
    EXPECT_EQ(verify(found), std::vector<std::string>{});
    EXPECT_EQ(read_tensor(found, "layer/0/W"), weight_of(step));
  }
  return steps;
}

TEST(CheckpointKill, ASaveKilledAfterAnyPhaseLeavesOnlyWholeCheckpoints) {
  const std::vector<std::pair<std::string, bool>> phases = {
      {"staged", false}, {"created", false}, {"written", false},
      {"synced", false}, {"agreed", false},  {"manifest", false},
      {"renamed", true}, {"latest", true},   {"trashed", true}};
  const test::TemporaryDirectory temporary;
  const fs::path run = temporary.path();
  ASSERT_EQ(save_in_child(run, 1, ""), 0);
  ASSERT_EQ(save_in_child(run, 2, ""), 0);
  std::int64_t step = 2;
  for (const auto& [phase, exists] : phases) {
    const std::set<std::int64_t> before = whole_checkpoints(run);
    ++step;

    const int status = save_in_child(run, step, phase);

    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << phase << ": " << status;
    const std::set<std::int64_t> after = whole_checkpoints(run);
    EXPECT_EQ(after.contains(step), exists) << phase;
    EXPECT_TRUE(exists || after == before) << phase;
    EXPECT_GE(after.size(), 2U) << phase;
  }

  ASSERT_EQ(save_in_child(run, 100, ""), 0);

  EXPECT_EQ(whole_checkpoints(run).size(), 2U);
  EXPECT_EQ(std::distance(fs::directory_iterator(run / "ckpt"), {}), 2);  // no leftovers
}

TEST(CheckpointKill, AReplacedStepIsWholeAtEveryMoment) {
  for (const std::string phase : {"manifest", "renamed", "trashed"}) {
    const test::TemporaryDirectory temporary;
    ASSERT_EQ(save_in_child(temporary.path(), 7, ""), 0);

    const int status = save_in_child(temporary.path(), 7, phase);

    EXPECT_TRUE(WIFSIGNALED(status)) << phase;
    EXPECT_EQ(whole_checkpoints(temporary.path()), std::set<std::int64_t>{7}) << phase;
  }
}

TEST(CheckpointFile, H5pyReadsTheColumnsOfAMatrixAsRows) {
  std::string python;
  for (const std::string candidate : {"python3", "/usr/bin/python3"}) {
    if (python.empty() && std::system((candidate + " -c 'import h5py' 2>/dev/null").c_str()) == 0)
      python = candidate;
  }
  if (python.empty()) GTEST_SKIP() << "no h5py here";
  const test::TemporaryDirectory temporary;
  ASSERT_EQ(save_in_child(temporary.path(), 3, ""), 0);
  const fs::path shard = list(temporary.path()).front().directory / "shard-0000.h5";

  const std::string script =
      "import h5py,numpy,sys; d=h5py.File(sys.argv[1],'r')['/layer/0/W']; "
      "w=numpy.array([[300+10*i+j for j in range(6)] for i in range(6)],dtype='f8'); "
      "assert d.dtype==numpy.dtype('<f8') and (d[...].T==w).all(); "
      "assert d.attrs['global_shape'].tolist()==[6,6] and d.attrs['columns'].tolist()==[0,6]";

  EXPECT_EQ(std::system((python + " -c \"" + script + "\" " + shard.string()).c_str()), 0);
}

}  // namespace
}  // namespace relgrad::checkpoint
