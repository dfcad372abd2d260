#include "commands/machine.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "support/temporary_directory.hpp"

namespace relgrad {
namespace {

namespace fs = std::filesystem;

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

TEST(CpuList, JoinsNeighboursAsTheKernelDoes) {
  EXPECT_EQ(cpu_list({}), "");
  EXPECT_EQ(cpu_list({3}), "3");
  EXPECT_EQ(cpu_list({0, 1, 2, 8}), "0-2,8");
  EXPECT_EQ(cpu_list({0, 2, 3, 5, 6}), "0,2-3,5-6");
}

TEST(OwnCpus, AreSharedWithTheRanksOfTheSameMachineThatMayRunThere) {
  const std::vector<double> own =
      own_cpus({{"a", {0, 1}}, {"a", {1, 2}}, {"b", {0, 1}}, {"a", {1}}});

  EXPECT_EQ(own, (std::vector{1 + 1.0 / 3, 1 + 1.0 / 3, 2.0, 1.0 / 3}));
}

TEST(MachineFacts, AreReadFromTheKernelsFiles) {
  const test::TemporaryDirectory root;
  write(root.path() / "proc/cpuinfo", "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n");
  write(root.path() / "proc/loadavg", "1.25 0.50 0.10 2/300 4711\n");
  write(root.path() / "proc/meminfo", "MemTotal:  16777216 kB\nMemAvailable:  8388608 kB\n");
  write(root.path() / "proc/self/cgroup", "0::/job\n");
  write(root.path() / "sys/fs/cgroup/job/memory.max", "1073741824\n");
  write(root.path() / "sys/fs/cgroup/job/memory.current", "0\n");
  write(root.path() / "sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");

  const nlohmann::ordered_json facts = machine_facts(root.path());

  EXPECT_EQ(facts.at("cpu"), "Some CPU @ 2 GHz");
  EXPECT_EQ(facts.at("load"), "1.25");
  EXPECT_EQ(facts.at("memory"), "16384 MiB");
  EXPECT_EQ(facts.at("available"), "8192 MiB");
  EXPECT_EQ(facts.at("within_cgroup"), "1024 MiB");
  EXPECT_EQ(facts.at("huge_pages"), "madvise");
}

TEST(MachineFacts, AreUnknownWhereNothingCanBeRead) {
  const test::TemporaryDirectory root;

  const nlohmann::ordered_json facts = machine_facts(root.path());

  EXPECT_EQ(facts.at("cpu"), "unknown");
  EXPECT_EQ(facts.at("memory"), "unknown");
  EXPECT_EQ(facts.at("within_cgroup"), "unknown");
  EXPECT_EQ(facts.at("huge_pages"), "unknown");
}

}  // namespace
}  // namespace relgrad
