#pragma once
/// Before anything collective is computed: every rank runs the same program, command and options.
#include "command.hpp"

namespace relgrad::cli {

/// Collective. @throws UsageError on every rank, naming the first option and the first rank that
/// differ from rank 0.
void check_same_line(const Command& command, const mpi::Communicator& world);

}  // namespace relgrad::cli
