#pragma once
/// Before anything collective is computed: every rank runs the same program, command and options.
#include "command.hpp"

namespace relgrad::cli {

/// Collective. @throws UsageError on every rank, naming the first option and the first rank that
/// differ from rank 0.
void check_same_line(const Command& command, const mpi::Communicator& world);
/// The same for ranks that were asked about the program or a command (`words`), not to compute:
/// ranks that compute meanwhile would wait for them without end.
void check_same_question(const std::string& words, const mpi::Communicator& world);

}  // namespace relgrad::cli
