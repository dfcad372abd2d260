#include "relgrad/mpi/agreement.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "relgrad/core/escaped.hpp"

namespace relgrad::mpi {

std::optional<Error> trouble_in(const std::function<void()>& work) {
  try {
    work();
    return std::nullopt;
  } catch (const std::exception&) {
    return as_error(std::current_exception());
  }
}

namespace {

/// Callers catch by kind (a CheckpointError makes a resume try the next older one).
[[noreturn]] void throw_agreed(ExitCode code, const std::string& message) {
  if (code == ExitCode::checkpoint) throw_on_all_ranks(CheckpointError(message));
  throw_on_all_ranks(Error(code, message));
}

}  // namespace

void agree(const Communicator& comm, const std::optional<Error>& trouble) {
  // One small message in the usual case: nobody has trouble.
  std::int64_t fine = trouble ? 0 : 1;
  comm.allreduce_min(std::span(&fine, 1));
  if (fine == 1) return;

  const std::string mine =
      trouble ? fmt::format("{:03d}{}", static_cast<int>(trouble->code()), trouble->what()) : "";
  const auto hosts = comm.allgather_strings(host_name());
  const auto all = comm.allgather_strings(mine);
  const auto first = std::ranges::find_if(all, [](const auto& text) { return !text.empty(); });
  const auto code = static_cast<ExitCode>(std::stoi(first->substr(0, 3)));
  const std::size_t rank = static_cast<std::size_t>(first - all.begin());
  // The root often works for all; of another rank the name is part of the message.
  throw_agreed(code, rank == 0
                         ? first->substr(3)
                         : fmt::format("rank {} on {}: {}", rank, hosts[rank], first->substr(3)));
}

void together(const Communicator& comm, const std::function<void()>& work) {
  agree(comm, trouble_in(work));
}

}  // namespace relgrad::mpi
