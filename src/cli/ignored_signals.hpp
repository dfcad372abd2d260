#pragma once
namespace relgrad::cli {

/// A signal that the parent ignores (nohup, a background job of a script) stays ignored. Libraries
/// of MPI catch some before main() begins (UCX: SIGHUP); this undoes that. Call it first.
void keep_ignored_signals();

}  // namespace relgrad::cli
