#pragma once
/// Checkpoints: whole or absent, readable by any number of ranks (ARCHITECTURE section 5).
///   RUN/ckpt/step-000012000/{manifest.json, shard-0000.h5, ...}
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "relgrad/core/types.hpp"
#include "relgrad/mpi/communicator.hpp"

namespace relgrad::checkpoint {

inline constexpr int format_version = 1;

struct WriterPolicy;

enum class TensorType { float32, float64 };

/// Columns [col_begin, col_end) of a rows x cols tensor, column-major, in this rank's memory. The
/// dataset on disk has shape [cols here, rows] (HDF5 is row-major): numpy's f["/layer/0/W"][...].T
/// is W.
template <class Pointer>
struct Block {
  std::string name;  // "layer/0/W"
  TensorType type = TensorType::float32;
  Index rows = 0;
  Index cols = 0;
  Index col_begin = 0;
  Index col_end = 0;
  Pointer data = nullptr;
};
using ConstBlock = Block<const void*>;
using MutableBlock = Block<void*>;

struct Retention {
  int keep_last = 3;    // >= 2
  int keep_best = 1;    // by state.metrics.val_bits_per_dim (finite numbers only), smallest first
  int keep_every = 10;  // every n-th checkpoint of the run for good; 0: none
};

/// The result of a save, agreed by all ranks.
struct SaveResult {
  bool saved = false;
  std::filesystem::path directory;  // of the checkpoint, if saved
  std::string trouble;              // one line if not saved, or if tidying up failed after it was
  double seconds = 0;               // for which the caller had to wait
  double writing_seconds = 0;       // of the slowest rank, on any thread
  std::uint64_t bytes = 0;
};

/// Who writes the bytes: the caller, or a thread that writes a copy, so that the caller may change
/// them meanwhile. The copy takes as much memory as this rank writes; a rank with less than twice
/// that free writes at once.
enum class Writing { at_once, in_background };

/// A running save. Every rank passes the blocks it holds, at most one per tensor: the distinct
/// ranges of columns must tile the tensor; a range that several ranks hold (all of it on every
/// rank, say) is written once, split over the writers. `state` (rank 0's counts) becomes "state" of
/// the manifest: step, epoch, samples_consumed, seed, options, model, data identity, metrics. A
/// save that fails (disk full, permission) leaves earlier checkpoints as they were and is reported,
/// not thrown. A checkpoint of the same step is replaced once the new one is complete. Retention
/// counts and removes only checkpoints up to `step`, never one that list() rejects, and only after
/// this one exists.
/// @throws ShapeError on every rank together if the blocks do not fit each other: a bug of the
/// caller.
class Save {
 public:
  /// Asked by rank 0 before the directory is made and before it gets its name; what it throws fails
  /// the save.
  using MayWrite = std::function<void()>;

  /// Collective. Agrees on the plan, makes the files, copies or writes this rank's bytes.
  Save(const mpi::Communicator& comm, const std::filesystem::path& run_directory, std::int64_t step,
       const nlohmann::json& state, const std::vector<ConstBlock>& blocks,
       const Retention& retention, Writing writing, MayWrite may_write = nullptr);
  /// The same with a choice of writers (checkpoint/plan.hpp).
  Save(const mpi::Communicator& comm, const std::filesystem::path& run_directory, std::int64_t step,
       const nlohmann::json& state, const std::vector<ConstBlock>& blocks,
       const Retention& retention, Writing writing, MayWrite may_write, const WriterPolicy& policy);
  /// Waits for the thread. Without finish() there is no checkpoint, only a directory that the next
  /// save removes.
  ~Save();
  Save(Save&&) noexcept;
  Save& operator=(Save&&) noexcept;

  /// Whether this rank's part is on disk or has failed, so that finish() need not wait for it.
  bool is_written() const;
  std::int64_t step() const;
  /// Collective, once: completes the checkpoint when every rank has written.
  SaveResult finish();

 private:
  class Attempt;
  std::unique_ptr<Attempt> attempt_;
};

/// Collective. Save, written at once, and finished.
SaveResult save(const mpi::Communicator& comm, const std::filesystem::path& run_directory,
                std::int64_t step, const nlohmann::json& state,
                const std::vector<ConstBlock>& blocks, const Retention& retention);

/// A checkpoint directory whose manifest parses and whose files have their sizes.
struct Found {
  std::filesystem::path directory;
  nlohmann::json manifest;
};

/// Newest (largest step) first. The state passed to save is manifest["state"]. Directories that do
/// not qualify are listed, with the reason, in `rejected`.
std::vector<Found> list(const std::filesystem::path& run_directory,
                        std::vector<std::string>* rejected = nullptr);
/// One checkpoint directory. @throws CheckpointError.
Found open(const std::filesystem::path& checkpoint_directory);
/// The checkpoint with the best (smallest) val_bits_per_dim, if any was evaluated.
std::optional<Found> best(const std::filesystem::path& run_directory);

/// Collective. Fills every block from rank 0's `checkpoint`, reading only the columns it needs;
/// checks names, shapes and types, the checksum of every file (each read by one rank), and the
/// hashes of the tensors as they now lie in memory, between ranks and with the manifest.
/// @throws CheckpointError on every rank together; the contents of the blocks are then undefined.
void load(const mpi::Communicator& comm, const Found& checkpoint,
          const std::vector<MutableBlock>& blocks);
/// Without MPI: one tensor, whole, as double.
Matrix<double> read_tensor(const Found& checkpoint, const std::string& name);
/// Reads everything again and compares every checksum. Returns one line per problem.
std::vector<std::string> verify(const Found& checkpoint);

}  // namespace relgrad::checkpoint
