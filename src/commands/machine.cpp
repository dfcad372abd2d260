#include "commands/machine.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <fstream>
#include <limits>
#include <map>
#include <sstream>
#include <utility>

#include "core/available_memory.hpp"

namespace relgrad {

namespace {

namespace fs = std::filesystem;

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  return std::getline(file, line) ? line : "";
}

/// What follows the colon of the first line that starts with `key`.
std::string value_of(const fs::path& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (!line.starts_with(key) || colon == std::string::npos) continue;
    const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

std::string or_unknown(const std::string& text) { return text.empty() ? "unknown" : text; }

std::string in_mebibytes(std::uint64_t bytes) {
  const bool is_known = bytes != std::numeric_limits<std::uint64_t>::max();
  return is_known ? fmt::format("{} MiB", bytes >> 20U) : "unknown";
}

/// "16304 MiB" of "16695624 kB".
std::string mebibytes(const std::string& kibibytes) {
  std::istringstream stream(kibibytes);
  std::uint64_t number = 0;
  return stream >> number ? in_mebibytes(number * 1024) : "unknown";
}

/// "always [madvise] never": the word in brackets.
std::string chosen(const std::string& policies) {
  const std::size_t begin = policies.find('[');
  const std::size_t end = policies.find(']');
  return begin == std::string::npos || end < begin ? ""
                                                   : policies.substr(begin + 1, end - begin - 1);
}

}  // namespace

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof(set), &set);
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

std::string cpu_list(const std::vector<int>& cpus) {
  std::string text;
  for (std::size_t first = 0; first < cpus.size();) {
    std::size_t last = first;
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",", cpus[first]);
    if (last > first) text += fmt::format("-{}", cpus[last]);
    first = last + 1;
  }
  return text;
}

std::vector<double> own_cpus(const std::vector<Placement>& ranks) {
  std::map<std::pair<std::string, int>, int> sharers;
  for (const Placement& rank : ranks) {
    for (const int cpu : rank.cpus) ++sharers[{rank.host, cpu}];
  }
  std::vector<double> own;
  for (const Placement& rank : ranks) {
    double cpus = 0;
    for (const int cpu : rank.cpus) cpus += 1.0 / sharers[{rank.host, cpu}];
    own.push_back(cpus);
  }
  return own;
}

nlohmann::ordered_json machine_facts(const fs::path& root) {
  const std::string load = first_line(root / "proc/loadavg");
  return {{"cpu", or_unknown(value_of(root / "proc/cpuinfo", "model name"))},
          {"cpus", sysconf(_SC_NPROCESSORS_ONLN)},
          {"load", or_unknown(load.substr(0, load.find(' ')))},
          {"memory", mebibytes(value_of(root / "proc/meminfo", "MemTotal"))},
          {"available", mebibytes(value_of(root / "proc/meminfo", "MemAvailable"))},
          {"within_cgroup", in_mebibytes(available_memory(root))},
          {"huge_pages",
           or_unknown(chosen(first_line(root / "sys/kernel/mm/transparent_hugepage/enabled")))}};
}

}  // namespace relgrad
