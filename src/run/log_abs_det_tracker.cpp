#include "run/log_abs_det_tracker.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "relgrad/core/error.hpp"
#include "relgrad/mpi/agreement.hpp"

namespace relgrad {

namespace {

// Y^T Delta is 2 N^2 D of a layer's 8 N D^2 flops: with N at most D / 16, 1.6 % of them. The LU of
// an N x N matrix takes about as long again.
constexpr std::int64_t dimensions_per_sample = 16;

}  // namespace

template <class T>
LogAbsDetTracker<T>::LogAbsDetTracker(const TrainOptions& options, const Exchange<T>& exchange,
                                      const Flow<T>& flow)
    : why_not_(why_log_abs_det_is_not_tracked(parse_optimizer_kind(options.optimizer),
                                              parse_gradient_kind(options.gradient), exchange)) {
  const Index dimension = flow.dimension();
  bool has_others = false;
  const auto linear = flow.linear_layers();
  for (std::size_t i = 0; i < flow.layer_count(); ++i) {
    has_others |= flow.layer(i).has_sample_independent_part() &&
                  std::ranges::count(linear, &flow.layer(i)) == 0;
  }
  is_computed_ = linear.empty() && options.gradient != "self-normalizing";
  if (why_not_.empty() && has_others) why_not_ = "not all layers are full matrices";
  if (options.track_log_det == "on" && !why_not_.empty()) {
    mpi::throw_on_all_ranks(UsageError(
        fmt::format("--track-log-det: on is not possible: {}; leave it at auto", why_not_)));
  }
  if (options.track_log_det == "off") {
    why_not_ = "--track-log-det off";
  } else if (options.track_log_det == "auto" && why_not_.empty() &&
             dimensions_per_sample * options.batch_size > dimension) {
    why_not_ = fmt::format(
        "a batch of {} samples is large compared with {} dimensions, so tracking would cost more "
        "than 3 % of a step; --track-log-det on forces it",
        options.batch_size, dimension);
  }
  tracks_ = why_not_.empty();
}

template <class T>
std::string LogAbsDetTracker<T>::in_words() const {
  if (is_computed_) return "log|det|: exact, computed at every step";
  if (tracks_) return "log|det| between evaluations: exact, tracked from step to step";
  return "log|det| between evaluations: the value of the last one (" + why_not_ + ")";
}

template <class T>
void LogAbsDetTracker<T>::know(RunState& state, const Flow<T>& flow,
                               const mpi::Communicator& comm) const {
  if (!tracks_ || state.log_abs_det_step == state.step) return;
  state.record_log_abs_det(shared_log_abs_det(flow, comm));
}

template <class T>
void LogAbsDetTracker<T>::follow(RunState& state, double change) const {
  if (!tracks_ || state.log_abs_det_step != state.step) return;
  state.log_abs_det += change;
  ++state.log_abs_det_step;
}

template <class T>
std::optional<double> LogAbsDetTracker<T>::resynchronise(RunState& state,
                                                         double log_abs_det_nats) const {
  std::optional<double> drift;
  if (tracks_ && state.log_abs_det_step == state.step) {
    drift = state.log_abs_det - log_abs_det_nats;
  }
  state.record_log_abs_det(log_abs_det_nats);
  return drift;
}

template class LogAbsDetTracker<float>;
template class LogAbsDetTracker<double>;

}  // namespace relgrad
