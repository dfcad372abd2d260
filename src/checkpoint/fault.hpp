#pragma once
/// Faults on demand, for tests of the save protocol: RELGRAD_FAULT="checkpoint:PHASE[:kill|fail]"
/// ends the process with SIGKILL (default) or throws a DiskError right after PHASE of a save:
///   staged   the plan is agreed, the temporary directory is made
///   created  this rank's shard exists with its structure, its space is reserved
///   written  its bytes are handed to the system
///   synced   its bytes are on disk
///   agreed   every rank has written
///   manifest manifest.json is on disk, in the temporary directory
///   renamed  the directory has its name: the checkpoint exists
///   latest   RUN/LATEST names it
///   trashed  the first victim of retention (or the copy replaced) has its .trash- name
/// Only ranks that see the variable fail; from `agreed` on only rank 0 acts. Only in builds with
/// tests (RELGRAD_FAULTS): elsewhere nothing is read and nothing happens.
#include <csignal>
#include <cstdlib>
#include <string>
#include <string_view>

#include "relgrad/core/error.hpp"

namespace relgrad::checkpoint {

#ifdef RELGRAD_FAULTS
inline void fault_point(std::string_view phase) {
  const char* wanted = std::getenv("RELGRAD_FAULT");
  if (wanted == nullptr) return;
  const std::string here = "checkpoint:" + std::string(phase);
  if (wanted == here || wanted == here + ":kill") std::raise(SIGKILL);
  if (wanted == here + ":fail") throw DiskError("RELGRAD_FAULT asks for a failure at " + here);
}
#else
inline void fault_point(std::string_view /*phase*/) {}
#endif

}  // namespace relgrad::checkpoint
