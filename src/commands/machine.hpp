#pragma once
/// The machine that this process is on: its CPUs, and what memory the process may have.
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace relgrad {

/// CPUs this process may run on, ascending.
std::vector<int> allowed_cpus();

/// CPUs in the kernel's own spelling: {0, 1, 2, 8} is "0-2,8".
std::string cpu_list(const std::vector<int>& cpus);

/// Where a rank was put: its machine, and the CPUs of it that the rank may run on.
struct Placement {
  std::string host;
  std::vector<int> cpus;
};

/// CPUs that each rank has for itself: a CPU that n ranks may run on counts 1/n for each of them.
std::vector<double> own_cpus(const std::vector<Placement>& ranks);

/// The machine as a row of a table: cpu (its name), cpus, load (of the last minute), memory (of
/// all, available, and left by control groups), huge_pages (the kernel's policy). What cannot be
/// read is "unknown".
/// @param root  where proc and sys lie; tests have others
nlohmann::ordered_json machine_facts(const std::filesystem::path& root = "/");

}  // namespace relgrad
