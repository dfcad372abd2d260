#include "run/checkpoint_choice.hpp"

#include <fmt/format.h>

#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/mpi/agreement.hpp"

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

checkpoint::Found choose_checkpoint(const std::string& run, const std::string& checkpoint,
                                    const mpi::Communicator& comm) {
  nlohmann::json message;
  mpi::together(comm, [&] {
    if (!comm.is_root()) return;
    const checkpoint::Found found = look(run, checkpoint);
    message = {{"directory", found.directory.string()}, {"manifest", found.manifest}};
  });
  message = nlohmann::json::parse(comm.broadcast_string(message.dump()));
  return {message.at("directory").get<std::string>(), message.at("manifest")};
}

}  // namespace relgrad
