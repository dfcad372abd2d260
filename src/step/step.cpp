#include "step/step.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "core/stopwatch.hpp"
#include "relgrad/core/exact_sum.hpp"
#include "relgrad/likelihood/log_likelihood.hpp"

namespace relgrad {

namespace {

// A sample's log-likelihood beyond 2^30 nats counts as that much in the progress report.
constexpr int likelihood_bits = 30;

}  // namespace

template <class T>
TrainStep<T>::TrainStep(Flow<T>& flow, Index capacity, const GradientOptions& gradient,
                        Exchange<T>& exchange, Update<T>& update, const mpi::Communicator& comm)
    : flow_(&flow),
      workspace_(flow, capacity),
      gradient_(flow, gradient),
      exchange_(&exchange),
      update_(&update),
      comm_(&comm) {
  gradient_.share_work(comm.rank(), comm.world_size());
}

template <class T>
StepStatus TrainStep<T>::look(const PreparedBatch<T>* batch, const StepWishes& wishes) {
  Stopwatch watch;
  heartbeat_->at(Place::forward);
  StepStatus status;
  status.stop = wishes.stop ? 1 : 0;
  status.save = wishes.save ? 1 : 0;
  status.written = wishes.written ? 1 : 0;
  status.trouble = batch == nullptr ? 1 : 0;
  const bool loaded = batch == nullptr
                          ? workspace_.load(nullptr, -1)
                          : workspace_.load(batch->x.data(), batch->count, batch->labels);
  if (loaded) {
    std::copy_n(batch->log_slope.begin(), batch->count, workspace_.own_log_likelihood().begin());
    forward(*flow_, workspace_);
    // Rounded so that the sum has the same bits on any number of ranks.
    const ExactGrid grid(likelihood_bits, batch->global_count);
    for (const double nats : workspace_.own_log_likelihood()) {
      status.log_likelihood += grid.round(nats);
      if (!std::isfinite(nats)) status.nonfinite += 1;
    }
    for (Index n = 0; n < batch->count; ++n) {
      status.transform_log_slope += grid.round(batch->log_slope[static_cast<std::size_t>(n)]);
    }
    status.samples = static_cast<double>(batch->count);
  }
  seconds_.forward += watch.lap() - take_exchange_seconds();
  heartbeat_->at(Place::sum);
  auto sums = std::bit_cast<std::array<double, sizeof(StepStatus) / sizeof(double)>>(status);
  comm_->allreduce_sum(sums);
  status = std::bit_cast<StepStatus>(sums);
  seconds_.wait += watch.lap();
  return status;
}

template <class T>
void TrainStep<T>::move(const StepNumbers& numbers) {
  Stopwatch watch;
  heartbeat_->at(Place::backward);
  update_->begin(numbers);
  gradient_.begin(numbers, {[this](Index cols) { return exchange_->own_columns(cols); },
                            [this](MatrixMap<T> matrix) { exchange_->publish(matrix); }});
  gradient_.backward(workspace_, *update_);
  update_->finish(gradient_);
  flow_->prepare();
  const double exchange = take_exchange_seconds();
  const double optimizer = update_->optimizer_seconds() - optimizer_seconds_before_;
  optimizer_seconds_before_ = update_->optimizer_seconds();
  seconds_.optimizer += optimizer;
  seconds_.backward += watch.lap() - exchange - optimizer;
}

template <class T>
double TrainStep<T>::log_abs_det_change() const {
  return gradient_.log_abs_det_change().value_or(std::numeric_limits<double>::quiet_NaN());
}

template <class T>
double TrainStep<T>::take_exchange_seconds() {
  const ExchangeCost cost = exchange_->take_cost();
  bytes_sent_ += cost.bytes_sent;
  seconds_.exchange += cost.seconds;
  return cost.seconds;
}

template <class T>
StepSeconds TrainStep<T>::take_seconds() {
  return std::exchange(seconds_, {});
}

template class TrainStep<float>;
template class TrainStep<double>;

}  // namespace relgrad
