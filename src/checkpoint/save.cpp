#include "checkpoint/save.hpp"

#include <fmt/format.h>

#include <chrono>

#include "checkpoint/directory.hpp"
#include "checkpoint/fault.hpp"
#include "checkpoint/manifest.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/mpi/agreement.hpp"

namespace relgrad::checkpoint {
namespace {

using nlohmann::json;

/// A save under way; its collective parts are called by every rank in the same order, and each ends
/// in an agreement: either all ranks go on or all throw the same Error.
class Attempt {
 public:
  Attempt(const mpi::Communicator& comm, std::filesystem::path run_directory, std::int64_t step,
          const Plan& plan)
      : comm_(comm), run_directory_(std::move(run_directory)), step_(step), plan_(plan) {}

  /// Rank 0 chooses the name and makes the directory.
  void prepare() {
    const auto trouble = mpi::trouble_in([&] {
      if (comm_.is_root()) temporary_ = prepare_directory(run_directory_, step_, plan_.bytes);
      fault_point("staged");
    });
    temporary_ = comm_.broadcast_string(temporary_.string());
    mpi::agree(comm_, trouble);
  }

  /// Plan and create: HDF5 calls, no MPI.
  void create(const std::vector<ConstBlock>& blocks) {
    mpi::together(comm_, [&] {
      if (writes()) job_ = create_shard(my_shard(), plan_, my_blocks(), blocks);
      fault_point("created");
    });
  }

  /// The bytes: neither HDF5 nor MPI before the agreement.
  void write() {
    std::string report;
    mpi::together(comm_, [&] {
      if (writes()) report = report_of(job_, write_shard(job_));
    });
    reports_ = comm_.allgather_strings(report);
  }

  /// Rank 0 makes the checkpoint exist, then removes those that retention does not keep. Trouble
  /// after the checkpoint exists does not undo it.
  void commit(const json& state, const Retention& retention, SaveResult& result) {
    bool committed = false;
    const auto trouble = mpi::trouble_in([&] {
      if (!comm_.is_root()) return;
      fault_point("agreed");
      const std::int64_t ordinal = next_ordinal(run_directory_, step_);
      write_manifest(temporary_, sealed(make_manifest(plan_, reports_, step_, ordinal, state)));
      fault_point("manifest");
      commit_directory(run_directory_, temporary_, step_, committed);
      write_latest(run_directory_, step_);
      fault_point("latest");
      retain(run_directory_, step_, retention);
    });
    result.saved = comm_.broadcast_string(committed ? "yes" : "") == "yes";
    if (!result.saved) mpi::agree(comm_, trouble);
    result.trouble = comm_.broadcast_string(trouble ? trouble->what() : "");
    result.directory = checkpoints_of(run_directory_) / step_name(step_);
    for (const std::string& report : reports_) {
      if (!report.empty()) result.bytes += json::parse(report).at("bytes").get<std::uint64_t>();
    }
  }

  /// Everyone removes its own file, then rank 0 the directory.
  void abandon() {
    std::error_code ignored;
    if (writes() && !temporary_.empty()) std::filesystem::remove(my_shard(), ignored);
    comm_.barrier();
    if (comm_.is_root()) abandon_directory(temporary_);
  }

 private:
  const std::vector<PlannedBlock>& my_blocks() const {
    return plan_.of_rank[static_cast<std::size_t>(comm_.rank())];
  }
  bool writes() const { return !my_blocks().empty(); }
  std::filesystem::path my_shard() const { return temporary_ / plan_.shard_of(comm_.rank()); }

  const mpi::Communicator& comm_;
  std::filesystem::path run_directory_;
  std::int64_t step_;
  const Plan& plan_;
  std::filesystem::path temporary_;
  ShardJob job_;
  std::vector<std::string> reports_;
};

void check_arguments(std::int64_t step, const std::vector<ConstBlock>& blocks) {
  if (step < 0) throw ShapeError(fmt::format("checkpoint: step is {}, expected >= 0", step));
  for (const ConstBlock& block : blocks) {
    if (block.data == nullptr && block.rows > 0 && block.col_end > block.col_begin)
      throw ShapeError("checkpoint: " + block.name + " has no data");
  }
}

}  // namespace

SaveResult save(const mpi::Communicator& comm, const std::filesystem::path& run_directory,
                std::int64_t step, const json& state, const std::vector<ConstBlock>& blocks,
                const Retention& retention, const WriterPolicy& policy) {
  const auto start = std::chrono::steady_clock::now();
  mpi::together(comm, [&] { check_arguments(step, blocks); });
  const Plan plan = make_plan(comm.allgather_strings(describe(step, blocks)), policy);

  SaveResult result;
  Attempt attempt(comm, comm.broadcast_string(run_directory.string()), step, plan);
  try {
    attempt.prepare();
    attempt.create(blocks);
    attempt.write();
    attempt.commit(state, retention, result);
  } catch (const Error& error) {  // agreed: every rank is here with the same message
    attempt.abandon();
    result.trouble = error.what();
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  result.seconds = elapsed.count();
  comm.broadcast(std::as_writable_bytes(std::span(&result.seconds, 1)));
  return result;
}

SaveResult save(const mpi::Communicator& comm, const std::filesystem::path& run_directory,
                std::int64_t step, const json& state, const std::vector<ConstBlock>& blocks,
                const Retention& retention) {
  return save(comm, run_directory, step, state, blocks, retention, WriterPolicy{});
}

}  // namespace relgrad::checkpoint
