#pragma once
/// Which checkpoint a command reads: the best of --run, or --checkpoint itself.
#include "relgrad/checkpoint/checkpoint.hpp"

namespace relgrad {

/// `checkpoint`, or if that is empty the best by validation of `run` (the newest, if none was
/// validated). @throws CheckpointError.
checkpoint::Found find_checkpoint(const std::string& run, const std::string& checkpoint);

/// Collective; the root looks, all ranks get the same answer.
checkpoint::Found choose_checkpoint(const std::string& run, const std::string& checkpoint,
                                    const mpi::Communicator& comm);

}  // namespace relgrad
