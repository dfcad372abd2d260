#include "run/saver.hpp"

#include <fmt/format.h>

#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/mpi/agreement.hpp"

namespace relgrad {

template <class T>
Saver<T>::Saver(const TrainOptions& options, RunCheckpoints<T>& checkpoints, Heartbeat& heartbeat,
                std::function<void(const checkpoint::SaveResult&)> ended)
    : options_(&options),
      checkpoints_(&checkpoints),
      heartbeat_(&heartbeat),
      ended_(std::move(ended)) {}

template <class T>
bool Saver<T>::is_due() const {
  return !under_way_ && (!has_begun_ || since_last_.seconds() >= options_->save_every_seconds);
}

template <class T>
void Saver<T>::begin(const RunState& state) {
  if (last_step_ == state.step || (under_way_ && under_way_->step() == state.step)) return;
  finish();
  const TimedScope timed(seconds_);
  heartbeat_->at(Place::checkpoint);
  since_last_.lap();
  has_begun_ = true;
  under_way_.emplace(checkpoints_->begin(state, options_->background_save
                                                    ? checkpoint::Writing::in_background
                                                    : checkpoint::Writing::at_once));
  if (!options_->background_save) conclude(false);
}

template <class T>
void Saver<T>::finish() {
  if (!under_way_) return;
  const TimedScope timed(seconds_);
  conclude(false);
}

template <class T>
void Saver<T>::save_now(const RunState& state) {
  if (!under_way_ || under_way_->step() != state.step) {
    finish();
    if (last_step_ == state.step) return;
  }
  const TimedScope timed(seconds_);
  if (!under_way_) {
    heartbeat_->at(Place::checkpoint);
    under_way_.emplace(checkpoints_->begin(state, checkpoint::Writing::at_once));
  }
  conclude(true);
}

template <class T>
void Saver<T>::save_again(const RunState& state) {
  finish();
  const TimedScope timed(seconds_);
  heartbeat_->at(Place::checkpoint);
  under_way_.emplace(checkpoints_->begin(state, checkpoint::Writing::at_once));
  conclude(false);
}

template <class T>
void Saver<T>::conclude(bool must) {
  heartbeat_->at(Place::checkpoint);
  const std::int64_t step = under_way_->step();
  const checkpoint::SaveResult result = under_way_->finish();
  under_way_.reset();
  ended_(result);
  if (!result.saved) {
    if (must) {
      mpi::throw_on_all_ranks(
          DiskError(fmt::format("the last checkpoint could not be saved: {}", result.trouble)));
    }
    log_warning(report_.failed(step, result.trouble));
    return;
  }
  last_step_ = step;
  const std::string again = report_.worked(step);
  if (!again.empty()) log_info(again);
  if (!result.trouble.empty()) log_warning("checkpoint saved, but " + result.trouble);
}

template class Saver<float>;
template class Saver<double>;

}  // namespace relgrad
