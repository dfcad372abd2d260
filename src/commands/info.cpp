#include "commands/info.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "commands/machine.hpp"
#include "core/build_info.hpp"
#include "hdf5/library.hpp"
#include "linalg/library_facts.hpp"
#include "mpi/library_facts.hpp"
#include "mpi/waiting.hpp"

namespace relgrad {

namespace {

using Report = nlohmann::ordered_json;

/// Variables that change what the libraries do; those that are set are told.
constexpr std::array variables = {
    "OMP_NUM_THREADS",   "OMP_PROC_BIND",      "OMP_PLACES",       "OPENBLAS_NUM_THREADS",
    "OPENBLAS_CORETYPE", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "HDF5_USE_FILE_LOCKING",
    "OMPI_MCA_pml",      "OMPI_MCA_btl",       "UCX_TLS",          "FI_PROVIDER",
    "SLURM_JOB_ID",      "SLURM_CPU_BIND"};

std::string address_space_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0) return "unknown";
  return limit.rlim_cur == RLIM_INFINITY ? "none" : fmt::format("{} MiB", limit.rlim_cur >> 20U);
}

/// What this rank knows of itself and of its machine.
Report facts_of_this_rank(const mpi::Communicator& comm) {
  const std::vector<int> cpus = allowed_cpus();
  return {{"cpus", cpus},
          {"machine", machine_facts()},
          {"row",
           {{"rank", comm.rank()},
            {"host", mpi::host_name()},
            {"process", getpid()},
            {"may_run_on_cpus", cpu_list(cpus)},
            {"ulimit_v", address_space_limit()}}}};
}

Report build_group() {
  const BuildInfo& build = build_info();
  return {{"version", build.version},
          {"commit", build.commit},
          {"build", build.type},
          {"compiler", build.compiler},
          {"flags", build.flags}};
}

Report mpi_group(const mpi::Communicator& comm) {
  return {{"library", mpi::library()},
          {"launcher", mpi::launcher()},
          {"ranks", comm.world_size()},
          {"waiting_ranks", mpi::how_ranks_wait()}};
}

Report hdf5_group() {
  const char* const locking = std::getenv("HDF5_USE_FILE_LOCKING");
  return {{"library", hdf5::library()},
          {"file_locking", locking == nullptr
                               ? "as the library has it (HDF5_USE_FILE_LOCKING is not set)"
                               : fmt::format("HDF5_USE_FILE_LOCKING={}", locking)}};
}

Report environment_table() {
  Report found = Report::array();
  for (const char* variable : variables) {
    if (const char* const value = std::getenv(variable)) {
      found.push_back({{"variable", variable}, {"value", value}});
    }
  }
  return found;
}

/// One row per machine, in the order of their first ranks.
Report hosts_table(const std::vector<Report>& ranks) {
  Report table = Report::array();
  for (const Report& rank : ranks) {
    const std::string host = rank.at("row").at("host");
    const auto found =
        std::ranges::find_if(table, [&](const Report& row) { return row.at("host") == host; });
    if (found != table.end()) {
      (*found)["ranks"] = found->at("ranks").get<int>() + 1;
      continue;
    }
    Report row = {{"host", host}, {"ranks", 1}};
    row.update(rank.at("machine"));
    table.push_back(row);
  }
  return table;
}

Report ranks_table(const std::vector<Report>& ranks, std::int64_t threads, Report& advice) {
  std::vector<Placement> placements;
  for (const Report& rank : ranks) {
    placements.push_back({rank.at("row").at("host"), rank.at("cpus")});
  }
  const std::vector<double> own = own_cpus(placements);
  Report table = Report::array();
  std::size_t crowded = 0;
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    constexpr double rounding = 1e-6;  // thirds of CPUs
    if (own[rank] + rounding < static_cast<double>(threads)) ++crowded;
    Report row = ranks[rank].at("row");
    row["cpus_of_its_own"] = fmt::format("{:.3g}", own[rank]);
    row["threads"] = threads;
    table.push_back(row);
  }
  if (crowded > 0) {
    advice.push_back(
        fmt::format("{} of {} ranks have fewer CPUs of their own than --threads {}: start fewer "
                    "ranks, or bind them with mpirun "
                    "--map-by slot:PE={} --bind-to core",
                    crowded, ranks.size(), threads, threads));
  }
  return table;
}

void add_advice(const Report& hosts, Report& advice) {
  for (const Report& row : hosts) {
    const std::string host = row.at("host");
    const double load = std::atof(row.at("load").get<std::string>().c_str());
    if (load > 0.5 + row.at("cpus").get<double>() / 2) {
      advice.push_back(
          fmt::format("{} is busy: load {} on {} CPUs", host, load, row.at("cpus").get<int>()));
    }
    if (row.at("huge_pages") == "never") {
      advice.push_back(host +
                       ": the kernel gives no huge pages; products of small batches are slower");
    }
  }
}

}  // namespace

Report info(const InfoOptions& options, const mpi::Communicator& comm) {
  std::vector<Report> ranks;
  for (const std::string& text : comm.allgather_strings(facts_of_this_rank(comm).dump())) {
    ranks.push_back(Report::parse(text));
  }
  if (!comm.is_root()) return nullptr;
  Report products = Report::object();
  for (const auto& [name, facts] : product_libraries()) products[name] = facts;
  Report advice = Report::array();
  const Report hosts = hosts_table(ranks);
  const Report rows = ranks_table(ranks, options.threads, advice);
  add_advice(hosts, advice);
  return {{"relgrad", build_group()},
          {"mpi", mpi_group(comm)},
          {"hdf5", hdf5_group()},
          {"products", products},
          {"environment", environment_table()},
          {"hosts", hosts},
          {"ranks", rows},
          {"advice", advice}};
}

}  // namespace relgrad
