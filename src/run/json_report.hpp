#pragma once
/// What a command found, for people and for programs.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>

#include "relgrad/core/files.hpp"
#include "relgrad/core/json.hpp"
#include "relgrad/core/standard_streams.hpp"
#include "relgrad/mpi/agreement.hpp"

namespace relgrad {

/// Collective, before a long computation. @param key  what every report of this command has
/// @throws UsageError on every rank if a file that is no such report is at `path`: it would be
/// replaced.
inline void check_report_place(const mpi::Communicator& comm, const std::string& path,
                               const char* key) {
  mpi::together(comm, [&] {
    if (!comm.is_root() || path.empty() || path == "-") return;
    check_replaceable(path, "--json", [&](const std::string& content) {
      const nlohmann::json there = parse_json_or_discard(content);
      return there.is_object() && there.contains(key);
    });
  });
}

/// Collective. On the root: `found` alone on standard output if `path` is "-", else what `print()`
/// prints and, unless `path` is empty, `found` in that file. @throws Error on every rank.
template <class Print>
void report(const mpi::Communicator& comm, const std::string& path, const nlohmann::json& found,
            const Print& print) {
  mpi::together(comm, [&] {
    if (!comm.is_root()) return;
    const std::string json = json_text(found, 2) + "\n";
    if (path == "-") {
      fmt::print("{}", json);
      return flush_standard_output();
    }
    print();
    flush_standard_output();
    if (!path.empty()) write_file(path, json);
  });
}

}  // namespace relgrad
