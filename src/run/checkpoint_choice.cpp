#include "run/checkpoint_choice.hpp"

#include <fmt/format.h>

#include "relgrad/core/error.hpp"
#include "relgrad/core/json.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/mpi/agreement.hpp"
#include "run/resume.hpp"

namespace relgrad {

namespace {

checkpoint::Found look(const std::string& run, const std::string& checkpoint) {
  if (!checkpoint.empty()) return checkpoint::open(checkpoint);
  if (auto best = checkpoint::best(run)) return *best;
  std::vector<std::string> rejected;
  const auto all = checkpoint::list(run, &rejected);
  for (const std::string& reason : rejected) log_warning(reason);
  if (all.empty()) {
    throw CheckpointError(fmt::format(
        "--run: {} holds no usable checkpoint ({} rejected); train first, or name one with "
        "--checkpoint",
        run, rejected.size()));
  }
  return all.front();
}

}  // namespace

checkpoint::Found find_checkpoint(const std::string& run, const std::string& checkpoint) {
  checkpoint::Found found = look(run, checkpoint);
  check_state(found);
  return found;
}

checkpoint::Found choose_checkpoint(const std::string& run, const std::string& checkpoint,
                                    const mpi::Communicator& comm) {
  checkpoint::Found found;
  mpi::together(comm, [&] {
    if (comm.is_root()) found = find_checkpoint(run, checkpoint);
  });
  found.directory = comm.broadcast_string(found.directory.string());
  found.manifest = nlohmann::json::parse(comm.broadcast_string(json_text(found.manifest)));
  return found;
}

}  // namespace relgrad
