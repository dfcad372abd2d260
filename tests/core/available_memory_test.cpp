#include "core/available_memory.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "support/temporary_directory.hpp"

namespace relgrad {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t mib = std::uint64_t{1} << 20;

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

TEST(AvailableMemory, IsWhatTheKernelSaysWhereNoGroupLimitsIt) {
  const test::TemporaryDirectory temporary;
  const fs::path root = temporary.path();
  write(root / "proc/meminfo", "MemTotal: 9000 kB\nMemFree: 10 kB\nMemAvailable: 2048 kB\n");
  write(root / "proc/self/cgroup", "0::/\n");
  EXPECT_EQ(available_memory(root), 2 * mib);
}

// Version 2: the job's limit is 100 MiB, 90 are used, of which 30 are file pages; the step's group
// has none of its own ("max").
TEST(AvailableMemory, IsLessInAJobWithALimit) {
  const test::TemporaryDirectory temporary;
  const fs::path root = temporary.path();
  write(root / "proc/meminfo", "MemAvailable: 1048576 kB\n");
  write(root / "proc/self/cgroup", "0::/job_7/step_0\n");
  const fs::path job = root / "sys/fs/cgroup/job_7";
  write(job / "memory.max", std::to_string(100 * mib));
  write(job / "memory.current", std::to_string(90 * mib));
  write(job / "memory.stat", "anon 1\ninactive_file " + std::to_string(30 * mib) + "\n");
  write(job / "step_0/memory.max", "max\n");
  write(job / "step_0/memory.current", "5\n");
  EXPECT_EQ(available_memory(root), 40 * mib);
}

TEST(AvailableMemory, ReadsGroupsOfVersion1) {
  const test::TemporaryDirectory temporary;
  const fs::path root = temporary.path();
  write(root / "proc/meminfo", "MemAvailable: 1048576 kB\n");
  write(root / "proc/self/cgroup", "3:cpu,cpuacct:/elsewhere\n5:memory:/slurm/job_7\n");
  const fs::path job = root / "sys/fs/cgroup/memory/slurm/job_7";
  write(job / "memory.limit_in_bytes", std::to_string(64 * mib));
  write(job / "memory.usage_in_bytes", std::to_string(60 * mib));
  EXPECT_EQ(available_memory(root), 4 * mib);
}

TEST(AvailableMemory, OfThisMachineIsMoreThanNothing) { EXPECT_GT(available_memory(), mib); }

}  // namespace
}  // namespace relgrad
