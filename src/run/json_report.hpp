#pragma once
/// What a command found, for people and for programs.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>

#include "relgrad/mpi/agreement.hpp"
#include "run/run_directory.hpp"

namespace relgrad {

/// Collective. On the root: `found` alone on standard output if `path` is "-", else what `print()`
/// prints and, unless `path` is empty, `found` in that file. @throws Error on every rank.
template <class Print>
void report(const mpi::Communicator& comm, const std::string& path, const nlohmann::json& found,
            const Print& print) {
  mpi::together(comm, [&] {
    if (!comm.is_root()) return;
    const std::string json = found.dump(2) + "\n";
    if (path == "-") {
      fmt::print("{}", json);
      return;
    }
    print();
    if (!path.empty()) write_file_atomically(path, json);
  });
}

}  // namespace relgrad
