#pragma once
/// The checkpoints of one run: which tensors and which words go in, and how they come back.
#include "run/resume.hpp"
#include "run/run_directory.hpp"
#include "start/model.hpp"

namespace relgrad {

template <class T>
class RunCheckpoints {
 public:
  /// Everything named here must outlive it.
  /// @param run  null on ranks other than the root, and in tests
  RunCheckpoints(const TrainOptions& options, const DatasetInfo& dataset, Model<T>& model,
                 const Exchange<T>& exchange, const nlohmann::json& choices,
                 const mpi::Communicator& comm, const RunDirectory* run = nullptr);

  /// What a resumed run takes instead of measuring, from now on.
  void set_choices(const nlohmann::json& choices) { choices_ = choices; }

  /// Root, before anything is written to the run directory. @throws DiskError if it is not the one
  /// that was opened any more.
  void check_may_write() const;

  /// Collective. Parameters, moments and transform tables, with `state` in the manifest.
  checkpoint::Save begin(const RunState& state, checkpoint::Writing writing);
  /// Collective. The same into DIRECTORY/ckpt: no checkpoint of the run, nothing counts or finds
  /// it.
  checkpoint::SaveResult save_aside(const std::filesystem::path& directory, const RunState& state);
  /// Collective. Fills parameters and moments from the first candidate that can be loaded (a
  /// damaged one is warned of and the next tried) and returns its state.
  /// @throws CheckpointError if none can.
  RunState load(const ResumePoint& resume);

 private:
  checkpoint::Save begin_in(const std::filesystem::path& directory, const RunState& state,
                            checkpoint::Writing writing);
  std::vector<checkpoint::MutableBlock> blocks();
  nlohmann::json manifest_state(const RunState& state) const;

  const TrainOptions* options_;
  const DatasetInfo* dataset_;
  Model<T>* model_;
  const Exchange<T>* exchange_;
  nlohmann::json choices_;
  const mpi::Communicator* comm_;
  const RunDirectory* run_;
};

}  // namespace relgrad
