#include "train/training_loop.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "data/labels.hpp"
#include "model/conditional_latent_layer.hpp"
#include "options/option_table.hpp"
#include "relgrad/core/activity.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/mpi/agreement.hpp"
#include "relgrad/optim/schedule.hpp"
#include "start/first_batch.hpp"
#include "start/whitening.hpp"
#include "train/announce.hpp"
#include "translate/translate.hpp"
#include "tuning/determinism.hpp"
#include "tuning/product_choice.hpp"

namespace relgrad {

namespace {

SplitReader open_split(const std::string& data, const DatasetInfo& dataset,
                       const std::string& split, const mpi::Communicator& comm) {
  std::optional<SplitReader> reader;
  mpi::together(comm, [&] { reader.emplace(data, dataset, split); });
  note_activity();
  return std::move(*reader);
}

/// Of every row; none where the model takes none, or there are none.
std::vector<Label> labels_of(const TrainOptions& options, const DatasetInfo& dataset,
                             const std::string& split, const mpi::Communicator& comm) {
  std::vector<Label> labels;
  mpi::together(comm, [&] {
    if (options.conditional) labels = read_labels(options.data, dataset, split);
  });
  return labels;
}

/// No batch crosses an epoch: none has more samples than there are, whatever --batch-size says.
TrainOptions with_batches_of_rows(TrainOptions options, const DatasetInfo& dataset) {
  const auto rows = static_cast<std::int64_t>(dataset.split("train").rows);
  options.batch_size = std::min(options.batch_size, rows);
  return options;
}

}  // namespace

template <class T>
Trainer<T>::Trainer(const TrainOptions& options, const mpi::Communicator& comm,
                    const DatasetInfo& dataset, RunDirectory* run, const ResumePoint& resume,
                    Heartbeat& heartbeat)
    : options_(options),
      comm_(comm),
      dataset_(dataset),
      run_(run),
      heartbeat_(heartbeat),
      kept_(kept_choices(resume, comm.world_size())),
      tuned_(with_batches_of_rows(options, dataset)),
      work_(work_of(flow_spec_of(options, dataset))),
      products_(choose_products<T>(tuned_, work_.matrix_size, comm, kept_.at("products"))),
      train_(open_split(options.data, dataset, "train", comm)),
      sharing_(tuned_, work_, comm, products_, kept_.at("exchange")),
      model_(build_model<T>(options, dataset, train_, products_, comm, sharing_.row_group(),
                            resume.candidates)),
      exchange_(sharing_.make_exchange()),
      log_abs_det_(options, exchange_, *model_.flow),
      update_(make_update<T>(*model_.flow, exchange_, products_, optimizer_options_of(options),
                             options.clip_norm, exact_terms_of(options))),
      source_(train_, *model_.transform, options.seed, options.batch_size, comm.rank(),
              comm.world_size(), cores_available() > options.threads,
              labels_of(options, dataset, "train", comm)),
      step_(*model_.flow, source_.capacity(), gradient_options_of(options, log_abs_det_.tracks()),
            exchange_, *update_, comm),
      exchange_choice_(sharing_.choice()),
      second_look_(costs_to_look_at()),
      checkpoints_(options, dataset, model_, exchange_, choices(), comm, run),
      saver_(options, checkpoints_, heartbeat_, [this](const auto& result) { save_ended(result); }),
      guard_(options, model_, exchange_, checkpoints_, comm),
      faults_(Faults<T>::of_rank(comm.rank())),
      metrics_(run, comm, dataset.dimension, model_.transform->kind() == TransformKind::logit),
      grids_(model_, dataset, options.seed,
             sample_grid_inverse(options, *model_.flow, dataset, train_.rows()), run),
      progress_(comm.is_root()),
      stops_(options, run) {
  set_class_weight(*model_.flow, options.class_weight);
  step_.watch(heartbeat_);
  if (dataset.has_split("val")) {
    val_.emplace(open_split(options.data, dataset, "val", comm));
    val_labels_ = labels_of(options, dataset, "val", comm);
  }
  state_.position.rows = train_.rows();
  const auto n = static_cast<double>(train_.rows());
  total_samples_ = n * static_cast<double>(options.epochs);
  if (options.max_steps > 0) {
    total_samples_ = std::min(total_samples_, static_cast<double>(options.max_steps) *
                                                  static_cast<double>(options.batch_size));
  }
  if (!resume.candidates.empty()) {
    state_ = checkpoints_.load(resume);
    saver_.resumed_from(state_.step);
    record_changed_options(options, resume, state_, comm);
  } else {
    if (options.init == "whitening") {
      whiten_first_layer(*model_.flow, *model_.transform, train_, options.seed,
                         options.deterministic, comm);
    }
    start_from_first_batch(*model_.flow, *model_.transform, train_, options.batch_size,
                           options.seed, comm);
  }
}

template <class T>
int Trainer<T>::run() {
  mpi::together(comm_, [&] {
    if (run_ == nullptr) return;
    run_->write_config(config_text(options_));
    run_->cut_metrics(saver_.last_step());  // from scratch: -1, all lines
    grids_.cut(saver_.last_step());
    if (options_.tensorboard) {
      metrics_.also_write_to(events_.emplace(run_->path(), saver_.last_step() + 1));
    }
    if (saver_.last_step() >= 0) run_->set_aside_checkpoints_after(saver_.last_step());
  });
  announce(options_, dataset_, model_, exchange_, products_, comm_.world_size());
  log_info(log_abs_det_.in_words());
  write_status("running", 0);
  if (finished()) log_info("this run is already done; nothing is left to train");
  if (state_.last_evaluated_step < 0 && !finished()) validate();  // the start: marginals only
  while (!finished() && !out_of_patience()) {
    const std::uint32_t epoch = state_.position.epoch();
    if (const auto exit_code = step()) return *exit_code;
    if (state_.position.epoch() != epoch) end_of_epoch();
  }
  if (!finished()) {
    progress_.end_line();
    log_info(
        fmt::format("no better validation in {} evaluations: stopped early", options_.patience));
  }
  return done();
}

template <class T>
StepStatus Trainer<T>::look(const DataPosition& position, const StepWishes& wishes) {
  heartbeat_.begin_step(state_.step);
  heartbeat_.at(Place::data);
  batch_ = nullptr;
  const Stopwatch watch;
  const auto trouble = mpi::trouble_in([&] {
    faults_.break_data(state_.step);
    batch_ = &source_.at(position);
  });
  step_.add_data_seconds(watch.seconds());
  faults_.hang(state_.step);
  batch_ = faults_.poisoned(state_.step, batch_);
  const StepStatus status = step_.look(batch_, wishes);
  if (status.trouble > 0) mpi::agree(comm_, trouble);
  return status;
}

template <class T>
std::optional<int> Trainer<T>::step() {
  const Stopwatch watch;
  const StopRequest request = stops_.request();
  const bool wants_stop = request.kind != StopRequest::Kind::none;
  const StepStatus status =
      look(state_.position, {wants_stop, comm_.is_root() && saver_.is_due(), saver_.is_written()});
  if (status.written == comm_.world_size()) saver_.finish();
  const StepNumbers step_numbers = numbers(status);
  const bool wants_checkpoint = status.stop > 0 || status.save > 0;
  if (status.nonfinite > 0 || (wants_checkpoint && !guard_.state_is_finite())) {
    leave_out(state_.position, status);  // a request to stop or to save comes again
    log_abs_det_.follow(state_, 0);
  } else {
    guard_.saw_finite_step();
    if (status.stop > 0) return stop(request);
    if (status.save > 0) saver_.begin(state_);
    log_abs_det_.know(state_, *model_.flow, comm_);
    step_.move(step_numbers);
    if (const auto nats = step_.log_abs_det()) state_.record_log_abs_det(*nats);
    state_.add_to_next_line(status.log_likelihood, status.transform_log_slope, status.samples);
    ++state_.updates;
    log_abs_det_.follow(state_, step_.log_abs_det_change());
    look_again(watch.seconds());
  }
  ++state_.step;
  state_.position.samples_consumed += static_cast<std::uint64_t>(batch_->global_count);
  heartbeat_.at(Place::run_directory);
  log_step(step_numbers.lr);
  return std::nullopt;
}

template <class T>
void Trainer<T>::leave_out(const DataPosition& position, const StepStatus& status) {
  saver_.finish();  // a rollback goes to the newest; a stop loses none
  progress_.end_line();
  guard_.leave_out(
      {&step_.workspace(), position, status.nonfinite, status.samples, numbers(status).lr}, state_);
}

template <class T>
void Trainer<T>::mend_state() {
  heartbeat_.at(Place::checkpoint);
  if (guard_.state_is_finite()) return;
  saver_.finish();
  progress_.end_line();
  guard_.leave_out({}, state_);
}

template <class T>
void Trainer<T>::settle() {
  mend_state();
  const std::int64_t skipped_steps = state_.skipped_steps;
  for (DataPosition ahead = state_.position;;) {
    const StepStatus status = look(ahead, {});
    if (status.nonfinite == 0) break;
    leave_out(ahead, status);
    ahead.samples_consumed += static_cast<std::uint64_t>(batch_->global_count);
  }
  state_.skipped_steps = skipped_steps;  // only looked at
}

template <class T>
StepNumbers Trainer<T>::numbers(const StepStatus& status) const {
  const Schedule schedule{
      parse_schedule_kind(options_.schedule),
      static_cast<double>(options_.warmup) * static_cast<double>(options_.batch_size),
      total_samples_, 0.0};
  const double middle =
      static_cast<double>(state_.position.samples_consumed) + 0.5 * status.samples;
  const double factor = schedule.factor(middle);
  return {state_.updates, status.samples, options_.lr * factor, options_.spline_lr * factor};
}

template <class T>
std::int64_t Trainer<T>::steps_per_line() const {
  const std::int64_t steps_per_epoch =
      std::max<std::int64_t>(1, static_cast<std::int64_t>(train_.rows()) / options_.batch_size);
  return options_.log_every > 0 ? options_.log_every
                                : std::max<std::int64_t>(1, steps_per_epoch / 50);
}

template <class T>
void Trainer<T>::log_step(double lr) {
  if (state_.step % steps_per_line() == 0) {
    metrics_.add_checkpoint_seconds(saver_.take_seconds());
    metrics_.write_step(state_, lr, step_.take_seconds(), step_.take_bytes_sent(),
                        reconstruction_of(*model_.flow, options_, state_.updates));
    show_progress(false);
  }
}

template <class T>
void Trainer<T>::show_progress(bool now) {
  progress_.show(progress_of(state_, metrics_, total_samples_, dataset_.dimension), now);
}

template <class T>
Evaluation Trainer<T>::evaluate_now() {
  heartbeat_.at(Place::validation);
  EvaluationRequest request;
  request.split = "val";
  request.samples = options_.eval_samples;
  request.seed = options_.seed;
  request.batch_size = source_.capacity();
  request.labels = val_labels_;
  const auto beat = [this](std::uint64_t, const Scores&) {
    heartbeat_.at(Place::validation);  // batch by batch: validations may be long
  };
  const Evaluation evaluation = evaluate_split(model_, *val_, request, comm_, beat);
  longest_validation_ = std::max(longest_validation_, evaluation.seconds);
  return evaluation;
}

template <class T>
void Trainer<T>::validate() {
  if (!val_ || state_.last_evaluated_step == state_.step) return;
  const Evaluation evaluation = evaluate_now();
  const auto drift = log_abs_det_.resynchronise(state_, evaluation.log_abs_det_nats);
  state_.record_validation(evaluation.nonfinite == 0 ? evaluation.bits_per_dim : HUGE_VAL);
  metrics_.write_evaluation(state_, evaluation, drift);
  const Stopwatch watch;
  const std::string png = grids_.draw(state_.step);
  if (events_) events_->add_grid(state_.step, png);
  metrics_.leave_out_seconds(watch.seconds());
}

template <class T>
void Trainer<T>::validate_at_stop() {
  if (!val_ || state_.last_evaluated_step == state_.step) return;
  const Evaluation evaluation = evaluate_now();
  state_.val_bits_per_dim_at_stop = evaluation.nonfinite == 0 ? evaluation.bits_per_dim : HUGE_VAL;
  metrics_.write_evaluation(state_, evaluation, std::nullopt, /*at_stop=*/true);
}

template <class T>
void Trainer<T>::end_of_epoch() {
  const std::int64_t epoch = state_.position.epoch();
  if (epoch % options_.eval_every == 0 || finished()) {
    mend_state();
    validate();
    show_progress(true);
    const bool best = val_ && state_.best_step == state_.step;
    if (best) saver_.begin(state_);
  }
}

template <class T>
void Trainer<T>::save_ended(const checkpoint::SaveResult& result) {
  stops_.add_save_seconds(result.seconds + result.writing_seconds);
  if (result.saved) guard_.saved();
  if (!result.trouble.empty()) progress_.end_line();
}

template <class T>
int Trainer<T>::stop(const StopRequest& request) {
  progress_.end_line();
  check_directory();
  using enum StopRequest::Kind;
  double requests = request.kind == none || request.kind == budget ? 0 : 1;
  comm_.allreduce_sum(std::span(&requests, 1));
  const int exit_code = requests > 0 ? static_cast<int>(ExitCode::stopped) : 0;
  // What the root knows decides, also where another rank heard the signal.
  const auto on_root = [&](bool yes) { return comm_.broadcast_string(yes ? "yes" : "") == "yes"; };
  bool validates = on_root(request.kind == budget && requests == 0);
  if (!validates) {
    saver_.save_now(state_);
    write_status("stopped", exit_code);
    validates = on_root(stops_.leaves_time(request.kind, longest_validation_));
  }
  if (validates) save_validated(&Trainer::validate_at_stop);
  write_status("stopped", exit_code);
  const auto val = state_.val_bits_per_dim();
  log_info(fmt::format("stopped at step {}{}; checkpoint saved{}, continue with --resume auto",
                       state_.step,
                       request.reason.empty() ? "" : fmt::format(" by {}", request.reason),
                       val ? fmt::format(" (validation {:.4f} bits/dim)", *val) : ""));
  return exit_code;
}

template <class T>
void Trainer<T>::save_validated(void (Trainer::*validation)()) {
  const bool was_known = state_.val_bits_per_dim().has_value();
  (this->*validation)();
  const bool is_news = !was_known && state_.val_bits_per_dim().has_value();
  if (is_news && saver_.last_step() == state_.step) {
    saver_.save_again(state_);
  } else {
    saver_.save_now(state_);
  }
}

template <class T>
void Trainer<T>::save_sound_state() {
  progress_.end_line();
  heartbeat_.at(Place::checkpoint);
  if (!guard_.state_is_finite()) return;
  try {
    saver_.save_now(state_);
    log_info(fmt::format("checkpoint of step {} saved, continue with --resume auto", state_.step));
  } catch (const Error& error) {  // on all ranks alike; why the run ends is told after it
    log_warning(error.what());
  }
}

template <class T>
void Trainer<T>::check_directory() const {
  mpi::together(comm_, [&] {
    if (run_ != nullptr) run_->check_ours();
  });
}

template <class T>
int Trainer<T>::done() {
  progress_.end_line();
  check_directory();
  if (saver_.last_step() != state_.step) settle();
  save_validated(&Trainer::validate);
  write_status("done", 0);
  announce_end(options_, state_, since_start_.seconds());
  return 0;
}

template <class T>
void Trainer<T>::write_status(const std::string& state, int exit_code) const {
  if (run_ == nullptr) return;
  nlohmann::json status = {{"state", state},
                           {"exit_code", exit_code},
                           {"step", state_.step},
                           {"epoch", state_.epochs_done()},
                           {"world_size", comm_.world_size()},
                           {"products", to_json(products_)},
                           {"compute", options_.compute}};
  if (std::isfinite(state_.best_known_bits_per_dim())) {
    status["best_val_bits_per_dim"] = state_.best_known_bits_per_dim();
  }
  run_->write_status(status);
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace relgrad
