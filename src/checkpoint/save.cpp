#include "checkpoint/save.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <system_error>
#include <thread>

#include "checkpoint/directory.hpp"
#include "checkpoint/fault.hpp"
#include "checkpoint/manifest.hpp"
#include "core/available_memory.hpp"
#include "core/stopwatch.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/mpi/agreement.hpp"

namespace relgrad::checkpoint {

using nlohmann::json;

namespace {

void check_arguments(std::int64_t step, const std::vector<ConstBlock>& blocks) {
  if (step < 0) throw ShapeError(fmt::format("checkpoint: step is {}, expected >= 0", step));
  for (const ConstBlock& block : blocks) {
    if (block.data == nullptr && block.rows > 0 && block.col_end > block.col_begin)
      throw ShapeError("checkpoint: " + block.name + " has no data");
  }
}

}  // namespace

/// The collective parts are called by every rank in the same order, and each ends in an agreement:
/// either all ranks go on or all throw the same Error.
class Save::Attempt {
 public:
  Attempt(const mpi::Communicator& comm, std::filesystem::path run_directory, std::int64_t step,
          Plan plan, json state, const Retention& retention, MayWrite may_write)
      : comm_(comm),
        run_directory_(std::move(run_directory)),
        step_(step),
        plan_(std::move(plan)),
        state_(std::move(state)),
        retention_(retention),
        may_write_(std::move(may_write)) {}
  ~Attempt() {
    if (thread_.joinable()) thread_.join();
  }
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  void start(const std::vector<ConstBlock>& blocks, Writing writing) {
    const TimedScope timed(result_.seconds);
    try {
      prepare();
      create(blocks);
    } catch (const Error& error) {  // agreed: every rank is here with the same message
      abandon(error);
      return;
    }
    write(writing);
  }

  bool is_written() const { return is_written_; }
  std::int64_t step() const { return step_; }

  SaveResult finish() {
    {
      const TimedScope timed(result_.seconds);
      if (thread_.joinable()) thread_.join();
      staged_.reset();
      if (!abandoned_) {
        try {
          gather();
          commit();
        } catch (const Error& error) {
          abandon(error);
        }
      }
    }
    std::array<double, 2> slowest = {result_.seconds, writing_seconds_};
    comm_.allreduce_max(slowest);
    result_.seconds = slowest[0];
    result_.writing_seconds = slowest[1];
    return result_;
  }

 private:
  /// Rank 0 chooses the name and makes the directory.
  void prepare() {
    const auto trouble = mpi::trouble_in([&] {
      if (comm_.is_root()) {
        if (may_write_) may_write_();
        temporary_ = prepare_directory(run_directory_, step_, plan_.bytes);
      }
      fault_point("staged");
    });
    temporary_ = comm_.broadcast_string(temporary_.string());
    mpi::agree(comm_, trouble);
    const auto hosts = comm_.allgather_strings(mpi::host_name());
    ranks_here_ = static_cast<std::uint64_t>(
        std::ranges::count(hosts, hosts[static_cast<std::size_t>(comm_.rank())]));
  }

  /// Plan and create: HDF5 calls, no MPI.
  void create(const std::vector<ConstBlock>& blocks) {
    mpi::together(comm_, [&] {
      if (writes()) job_ = create_shard(my_shard(), plan_, my_blocks(), blocks);
      fault_point("created");
    });
  }

  /// The bytes: neither HDF5 nor MPI.
  void write(Writing writing) {
    const auto work = [this] {
      {
        const TimedScope timed(writing_seconds_);
        trouble_ = mpi::trouble_in([&] {
          if (writes()) report_ = report_of(job_, write_shard(job_));
        });
      }
      is_written_ = true;
    };
    if (writing == Writing::in_background && writes() && stage()) {
      try {
        thread_ = std::thread(work);
        return;
      } catch (const std::system_error&) {  // no more threads for us
      }
    }
    work();
  }

  /// Copies what this rank writes, if the memory for it is there.
  bool stage() {
    std::uint64_t bytes = 0;
    for (const Piece& piece : job_.pieces) bytes += piece.bytes();
    if (available_memory() / ranks_here_ < 2 * bytes) return false;
    staged_.reset(new (std::nothrow) std::byte[bytes]);
    if (staged_ == nullptr) return false;
    std::byte* to = staged_.get();
    for (Piece& piece : job_.pieces) {
      std::memcpy(to, piece.data, piece.bytes());
      piece.data = to;
      to += piece.bytes();
    }
    return true;
  }

  void gather() {
    mpi::agree(comm_, trouble_);
    reports_ = comm_.allgather_strings(report_);
  }

  /// Rank 0 makes the checkpoint exist, then removes those that retention does not keep. Trouble
  /// after the checkpoint exists does not undo it.
  void commit() {
    bool committed = false;
    const auto trouble = mpi::trouble_in([&] {
      if (!comm_.is_root()) return;
      fault_point("agreed");
      const std::int64_t ordinal = next_ordinal(run_directory_, step_);
      write_manifest(temporary_, sealed(make_manifest(plan_, reports_, step_, ordinal, state_)));
      fault_point("manifest");
      if (may_write_) may_write_();
      commit_directory(run_directory_, temporary_, step_, committed);
      write_latest(run_directory_, step_);
      fault_point("latest");
      retain(run_directory_, step_, retention_);
    });
    result_.saved = comm_.broadcast_string(committed ? "yes" : "") == "yes";
    if (!result_.saved) mpi::agree(comm_, trouble);
    result_.trouble = comm_.broadcast_string(trouble ? trouble->what() : "");
    result_.directory = checkpoints_of(run_directory_) / step_name(step_);
    for (const std::string& report : reports_) {
      if (!report.empty()) result_.bytes += json::parse(report).at("bytes").get<std::uint64_t>();
    }
  }

  /// Everyone removes its own file, then rank 0 the directory.
  void abandon(const Error& error) {
    std::error_code ignored;
    if (writes() && !temporary_.empty()) std::filesystem::remove(my_shard(), ignored);
    comm_.barrier();
    if (comm_.is_root()) abandon_directory(temporary_);
    result_.trouble = error.what();
    abandoned_ = true;
    is_written_ = true;
  }

  const std::vector<PlannedBlock>& my_blocks() const {
    return plan_.of_rank[static_cast<std::size_t>(comm_.rank())];
  }
  bool writes() const { return !my_blocks().empty(); }
  std::filesystem::path my_shard() const { return temporary_ / plan_.shard_of(comm_.rank()); }

  const mpi::Communicator& comm_;
  std::filesystem::path run_directory_;
  std::int64_t step_;
  Plan plan_;
  json state_;
  Retention retention_;
  MayWrite may_write_;
  std::filesystem::path temporary_;
  std::uint64_t ranks_here_ = 1;  // on this machine
  ShardJob job_;
  std::unique_ptr<std::byte[]> staged_;
  std::vector<std::string> reports_;
  SaveResult result_;
  bool abandoned_ = false;
  // Of the thread, until it has ended:
  std::string report_;
  double writing_seconds_ = 0;
  std::optional<Error> trouble_;
  std::atomic<bool> is_written_ = false;
  std::thread thread_;
};

Save::Save(const mpi::Communicator& comm, const std::filesystem::path& run_directory,
           std::int64_t step, const json& state, const std::vector<ConstBlock>& blocks,
           const Retention& retention, Writing writing, MayWrite may_write)
    : Save(comm, run_directory, step, state, blocks, retention, writing, std::move(may_write),
           WriterPolicy{}) {}

Save::Save(const mpi::Communicator& comm, const std::filesystem::path& run_directory,
           std::int64_t step, const json& state, const std::vector<ConstBlock>& blocks,
           const Retention& retention, Writing writing, MayWrite may_write,
           const WriterPolicy& policy) {
  mpi::together(comm, [&] { check_arguments(step, blocks); });
  Plan plan = make_plan(comm.allgather_strings(describe(step, blocks)), policy);
  attempt_ = std::make_unique<Attempt>(comm, comm.broadcast_string(run_directory.string()), step,
                                       std::move(plan), state, retention, std::move(may_write));
  attempt_->start(blocks, writing);
}

Save::~Save() = default;
Save::Save(Save&&) noexcept = default;
Save& Save::operator=(Save&&) noexcept = default;
bool Save::is_written() const { return attempt_->is_written(); }
std::int64_t Save::step() const { return attempt_->step(); }
SaveResult Save::finish() { return attempt_->finish(); }

SaveResult save(const mpi::Communicator& comm, const std::filesystem::path& run_directory,
                std::int64_t step, const json& state, const std::vector<ConstBlock>& blocks,
                const Retention& retention, const WriterPolicy& policy) {
  return Save(comm, run_directory, step, state, blocks, retention, Writing::at_once, nullptr,
              policy)
      .finish();
}

SaveResult save(const mpi::Communicator& comm, const std::filesystem::path& run_directory,
                std::int64_t step, const json& state, const std::vector<ConstBlock>& blocks,
                const Retention& retention) {
  return save(comm, run_directory, step, state, blocks, retention, WriterPolicy{});
}

}  // namespace relgrad::checkpoint
