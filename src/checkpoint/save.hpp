#pragma once
/// save() with a choice of writers, for tests that cannot write gigabytes.
#include "checkpoint/plan.hpp"

namespace relgrad::checkpoint {

SaveResult save(const mpi::Communicator& comm, const std::filesystem::path& run_directory,
                std::int64_t step, const nlohmann::json& state,
                const std::vector<ConstBlock>& blocks, const Retention& retention,
                const WriterPolicy& policy);

}  // namespace relgrad::checkpoint
