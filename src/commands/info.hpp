#pragma once
/// What a maintainer asks first: this build, its libraries, and the machines its ranks were put on:
/// `relgrad info`.
#include <cstdint>
#include <nlohmann/json.hpp>

#include "relgrad/mpi/communicator.hpp"

namespace relgrad {

struct InfoOptions {
  std::int64_t threads = 1;  // per rank, as --threads of the other commands
  bool json = false;         // instead of words
};

/// Collective. The whole report, on the root; on other ranks null. Values are texts and numbers, in
/// groups; `hosts` and `ranks` are tables, `advice` a list of sentences about what would slow a run
/// down here.
nlohmann::ordered_json info(const InfoOptions& options, const mpi::Communicator& comm);

}  // namespace relgrad
