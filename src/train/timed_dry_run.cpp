/// What a run would take, found by some of its steps and a part of a validation.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/available_memory.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/mpi/agreement.hpp"
#include "train/announce.hpp"
#include "train/training_loop.hpp"

namespace relgrad {

template <class T>
void Trainer<T>::time_steps(DryRun& found) {
  constexpr std::int64_t most_steps = 20;
  constexpr double enough_s = 1;
  Stopwatch watch;
  double seconds = 0;
  for (;;) {
    const StepStatus status = look(state_.position, {});
    if (status.nonfinite > 0) {
      mpi::throw_on_all_ranks(DivergedError(fmt::format(
          "--dry-run: {:.0f} of {:.0f} log-likelihoods of step {} are not finite; lower "
          "--lr, or look at the data",
          status.nonfinite, status.samples, state_.step)));
    }
    log_abs_det_.know(state_, *model_.flow, comm_);
    step_.move(numbers(status));
    log_abs_det_.follow(state_, step_.log_abs_det_change());
    ++state_.updates;
    ++state_.step;
    state_.position.samples_consumed += static_cast<std::uint64_t>(batch_->global_count);
    if (seconds == 0) {
      found.first_step_s = found.step_s = watch.lap();
    } else {
      ++found.timed_steps;
      found.step_s = watch.seconds() / static_cast<double>(found.timed_steps);
    }
    seconds = found.first_step_s + static_cast<double>(found.timed_steps) * found.step_s;
    const bool goes_on = found.timed_steps < most_steps && seconds < enough_s && !finished();
    if (comm_.broadcast_string(goes_on ? "yes" : "").empty()) return;
  }
}

template <class T>
double Trainer<T>::time_validation() {
  if (!val_) return 0;
  const Stopwatch watch;
  shared_log_abs_det(*model_.flow, comm_);
  const double once = watch.seconds();
  EvaluationRequest request;
  request.split = "val";
  request.batch_size = source_.capacity();
  const auto rows = static_cast<std::int64_t>(val_->rows());
  const std::int64_t all = options_.eval_samples > 0 ? std::min(options_.eval_samples, rows) : rows;
  request.samples = std::min(all, 2 * request.batch_size * comm_.world_size());
  const double seconds = evaluate_split(model_, *val_, request, comm_).seconds;
  return once + std::max(0.0, seconds - once) * static_cast<double>(all) /
                    static_cast<double>(request.samples);
}

template <class T>
double Trainer<T>::checkpoint_bytes() const {
  const ParameterStore<T>& store = std::as_const(model_.flow->parameters());
  double numbers = 0;
  for (ParameterId id = 0; id < store.count(); ++id) {
    const ParameterInfo& info = store.info(id);
    const int copies = info.use.moves && store.has_moments(id) ? 1 + store.moment_count() : 1;
    numbers += copies * static_cast<double>(info.rows) * static_cast<double>(info.cols);
  }
  double bytes = numbers * sizeof(T);
  for (const TransformTable& table : model_.transform->tables()) {
    bytes += static_cast<double>(table.values.size() * sizeof(double));
  }
  return bytes;
}

template <class T>
DryRun Trainer<T>::dry_run() {
  announce(options_, dataset_, model_, exchange_, products_, comm_.world_size());
  DryRun found;
  const auto batch = static_cast<double>(tuned_.batch_size);
  found.steps_per_epoch = std::ceil(static_cast<double>(train_.rows()) / batch);
  const auto consumed = static_cast<double>(state_.position.samples_consumed);
  const double epochs = (total_samples_ - consumed) / static_cast<double>(train_.rows());
  found.steps = std::max(0.0, std::ceil(epochs * found.steps_per_epoch));
  found.validations = val_ ? std::ceil(epochs / static_cast<double>(options_.eval_every)) + 1 : 0;
  found.log_lines = found.steps / static_cast<double>(steps_per_line()) + found.validations;
  found.draws_grids =
      sample_grid_inverse(options_, *model_.flow, dataset_, train_.rows()).has_value();
  for (ParameterId id = 0; id < model_.flow->parameters().count(); ++id) {
    const ParameterInfo& info = model_.flow->parameters().info(id);
    found.parameters += info.rows * info.cols;
  }
  found.checkpoint_bytes = checkpoint_bytes();
  if (finished()) {
    log_info("this run is already done; nothing is left to train");
    found.steps = found.validations = 0;
  } else {
    time_steps(found);
    found.validation_s = time_validation();
  }
  found.peak_bytes = comm_.allgather(static_cast<double>(peak_memory()));
  found.available_bytes = static_cast<double>(available_memory());
  return found;
}

template void Trainer<float>::time_steps(DryRun&);
template void Trainer<double>::time_steps(DryRun&);
template double Trainer<float>::time_validation();
template double Trainer<double>::time_validation();
template double Trainer<float>::checkpoint_bytes() const;
template double Trainer<double>::checkpoint_bytes() const;
template DryRun Trainer<float>::dry_run();
template DryRun Trainer<double>::dry_run();

}  // namespace relgrad
