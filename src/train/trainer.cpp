#include "train/trainer.hpp"

#include <fmt/format.h>

#include <memory>

#include "relgrad/core/error.hpp"
#include "relgrad/mpi/agreement.hpp"
#include "run/same_data.hpp"
#include "train/training_loop.hpp"

namespace relgrad {

namespace {

template <class T>
int train_in(const TrainOptions& options, const mpi::Communicator& comm, const DatasetInfo& dataset,
             RunDirectory* run, const ResumePoint& resume, Heartbeat& heartbeat) {
  Trainer<T> trainer(options, comm, dataset, run, resume, heartbeat);
  try {
    return trainer.run();
  } catch (const Error& error) {
    if (error.agreed() && error.code() == ExitCode::data) trainer.save_sound_state();
    if (error.agreed()) trainer.finish_save();
    trainer.write_status(error.code() == ExitCode::diverged ? "diverged" : "failed",
                         static_cast<int>(error.code()));
    throw;
  }
}

template <class T>
DryRun dry_run_in(const TrainOptions& options, const mpi::Communicator& comm,
                  const DatasetInfo& dataset, const ResumePoint& resume) {
  Heartbeat heartbeat;
  return Trainer<T>(options, comm, dataset, nullptr, resume, heartbeat).dry_run();
}

}  // namespace

int dry_run(const TrainOptions& options, const mpi::Communicator& comm) {
  DatasetInfo dataset;
  mpi::together(comm, [&] {
    set_threads(static_cast<int>(options.threads));
    dataset = checked_dataset(options, comm.world_size());
  });
  check_same_data(dataset, options.data, comm);
  mpi::together(comm, [&] {
    if (comm.is_root()) RunDirectory::check(options.run, options.resume != "never");
  });
  const ResumePoint resume = find_resume_point(options, dataset, comm);
  const DryRun found = options.precision == "float64"
                           ? dry_run_in<double>(options, comm, dataset, resume)
                           : dry_run_in<float>(options, comm, dataset, resume);
  if (comm.is_root()) fmt::print("{}", describe(found, options));
  return 0;
}

int train(const TrainOptions& options, const mpi::Communicator& comm) {
  const StopSignals signals;  // a job may be told to stop while it reads its data
  Heartbeat heartbeat;
  const Watchdog watchdog(heartbeat, options.watchdog_seconds, 3.0, end_the_job(comm));
  mpi::together(comm, [&] { set_threads(static_cast<int>(options.threads)); });
  DatasetInfo dataset;
  std::unique_ptr<RunDirectory> run;
  heartbeat.at(Place::start);
  mpi::together(comm, [&] { dataset = checked_dataset(options, comm.world_size()); });
  check_same_data(dataset, options.data, comm);
  mpi::together(comm, [&] {
    if (comm.is_root()) {
      run = std::make_unique<RunDirectory>(options.run, options.resume != "never");
    }
  });
  heartbeat.at(Place::start);
  const ResumePoint resume = find_resume_point(options, dataset, comm);
  return options.precision == "float64"
             ? train_in<double>(options, comm, dataset, run.get(), resume, heartbeat)
             : train_in<float>(options, comm, dataset, run.get(), resume, heartbeat);
}

}  // namespace relgrad
