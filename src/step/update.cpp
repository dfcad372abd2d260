#include "step/update.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <vector>

#include "relgrad/core/error.hpp"
#include "relgrad/gradient/buffer.hpp"
#include "relgrad/mpi/agreement.hpp"
#include "relgrad/optim/geco.hpp"
#include "step/inner_products.hpp"
#include "step/relative_scales.hpp"
#include "step/small_sums.hpp"

namespace relgrad {

namespace {

using Clock = std::chrono::steady_clock;

/// The part of parameter `id` that holds columns from `col_begin`, with its gradient's sum.
template <class T>
UpdateTile<T> tile_of(ParameterStore<T>& store, ParameterId id, Index col_begin,
                      std::span<const T> gradient_sum, const PerSampleTerm<T>& term) {
  const ParameterInfo& info = store.info(id);
  const std::size_t first = static_cast<std::size_t>(info.rows * col_begin);
  UpdateTile<T> tile;
  tile.values = store.values(id).subspan(first, gradient_sum.size());
  tile.gradient_sum = gradient_sum;
  tile.value_factor = term.value_factor;
  tile.matrix = term.matrix == nullptr ? nullptr : term.matrix + first;
  tile.matrix_factor = term.matrix_factor;
  tile.row_factor = term.row_factor;
  tile.rows = static_cast<std::size_t>(info.rows);
  if (store.has_moments(id)) {
    tile.first_moment = store.moment(0, id).subspan(first, gradient_sum.size());
  }
  if (store.has_moments(id) && store.moment_count() > 1) {
    tile.second_moment = store.moment(1, id).subspan(first, gradient_sum.size());
  }
  tile.decay = info.group == ParameterGroup::weight;
  return tile;
}

/// What layers keep from step to step, from this step's sums.
template <class T>
void update_running(ParameterStore<T>& store, SmallSums<T>& sums, const StepNumbers& numbers,
                    double tolerance) {
  for (ParameterId id = 0; id < store.count(); ++id) {
    if (store.info(id).group != ParameterGroup::running) continue;
    const double error = static_cast<double>(sums.sum(id)[0]) / numbers.samples;
    update_reconstruction(store.values(id), error, tolerance, numbers.step);
  }
}

/// Whether a parameter is moved by small sums: neither a matrix nor a layer's running numbers.
bool is_small(const ParameterInfo& info) {
  return !is_square(info.group) && info.group != ParameterGroup::running;
}

/// What a tile's update reads beside its gradient.
template <class T>
ReadNext<T> read_by_update(ParameterStore<T>& store, ParameterId id) {
  return {store.values(id).data(), store.moment_count() > 0 ? store.moment(0, id).data() : nullptr,
          store.moment_count() > 1 ? store.moment(1, id).data() : nullptr};
}

double lr_of(const ParameterInfo& info, const StepNumbers& numbers) {
  return info.group == ParameterGroup::spline ? numbers.spline_lr : numbers.lr;
}

/// growth of W' = growth W + step Delta Y^T W under sgd, whose step on the data term is lr / N and
/// on the term of every sample alike, W itself, `lr`.
double growth_of(double lr, const StepNumbers& numbers, const OptimizerOptions& options) {
  return 1.0 + lr - numbers.lr * options.weight_decay;
}

template <class T>
class FusedUpdate final : public Update<T> {
 public:
  FusedUpdate(Flow<T>& flow, Exchange<T>& exchange, const OptimizerOptions& options,
              std::int64_t exact_terms, bool tracks)
      : store_(&flow.parameters()),
        exchange_(&exchange),
        optimizer_(options),
        small_(flow, exact_terms, options.kind == OptimizerKind::natural),
        small_terms_(store_->count()),
        inner_products_(tracks) {
    if (options.kind == OptimizerKind::natural) scales_.emplace(*store_, options.epsilon);
  }

  void begin(const StepNumbers& numbers) override {
    numbers_ = numbers;
    small_.clear();
    inner_products_.begin();
    std::ranges::fill(small_terms_, PerSampleTerm<T>{});
    if (scales_) scales_->begin();
  }
  std::optional<RelativeScales<T>> relative_scales(ParameterId bias) override {
    return scales_ ? std::optional(scales_->of(bias)) : std::nullopt;
  }
  void add_squares(ParameterId bias, const ConstMatrixMap<T>& delta,
                   const ConstMatrixMap<T>& outputs, Index begin) override {
    small_.add_squares(bias, delta, outputs, begin);
  }

  std::span<T> sum(ParameterId id) override { return small_.sum(id); }
  std::optional<ExactSums> exact(ParameterId id, std::size_t size) override {
    return small_.exact(id, size);
  }

  void per_sample(ParameterId id, const PerSampleTerm<T>& term) override {
    small_terms_[id] = term;
  }

  void relative(const ConstMatrixMap<T>& delta, const ConstMatrixMap<T>& outputs,
                const T* row_factor) override {
    if (row_factor == nullptr) {
      inner_products_.announce(delta, outputs);
      return;
    }
    growth_.resize(delta.rows());
    for (Index i = 0; i < growth_.size(); ++i) {
      growth_[i] = growth_of(numbers_.lr * static_cast<double>(row_factor[i]), numbers_,
                             optimizer_.options());
    }
    inner_products_.announce(delta, outputs, growth_);
  }

  void outer_product(ParameterId id, const ConstMatrixMap<T>& left, const ConstMatrixMap<T>& right,
                     const PerSampleTerm<T>& term) override {
    const auto apply_tile = [&](Index col_begin, const ConstMatrixMap<T>& tile) {
      apply(tile_of(*store_, id, col_begin,
                    std::span(tile.data(), static_cast<std::size_t>(tile.size())), term),
            lr_of(store_->info(id), numbers_));
    };
    exchange_->outer_product(left, right, std::ref(apply_tile), read_by_update(*store_, id));
    inner_products_.take(*exchange_);
    exchange_->publish(store_->matrix(id));
  }

  void outer_products(const OuterProduct<T>& first, const OuterProduct<T>& second) override {
    // The first moves; what it was, of this rank's columns, is kept for the second's term.
    const MatrixMap<T> values = store_->matrix(first.id);
    const Range own = exchange_->own_columns(values.cols());
    before_.resize(static_cast<std::size_t>(values.rows() * own.size()));
    std::copy_n(values.data() + values.rows() * own.begin, before_.size(), before_.data());
    outer_product(first.id, first.left, first.right, first.term);
    const double lr = lr_of(store_->info(second.id), numbers_);
    const auto apply_tile = [&](Index col_begin, const ConstMatrixMap<T>& tile) {
      UpdateTile<T> part =
          tile_of(*store_, second.id, col_begin,
                  std::span(tile.data(), static_cast<std::size_t>(tile.size())), second.term);
      if (second.term.matrix == values.data()) {
        part.matrix = before_.data() + values.rows() * (col_begin - own.begin);
      }
      apply(part, lr);
    };
    exchange_->outer_product(second.left, second.right, std::ref(apply_tile),
                             read_by_update(*store_, second.id));
    exchange_->publish(store_->matrix(second.id));
  }

  void finish() override {
    small_.exchange(*exchange_);
    update_running(*store_, small_, numbers_, optimizer_.options().reconstruction_tolerance);
    for (ParameterId id = 0; id < store_->count(); ++id) {
      const ParameterInfo& info = store_->info(id);
      if (!is_small(info)) continue;
      apply(tile_of(*store_, id, 0, std::span<const T>(sum(id)), small_terms_[id]),
            lr_of(info, numbers_));
    }
    if (scales_) scales_->take(small_, numbers_.step, numbers_.samples);
    this->log_abs_det_change_ = inner_products_.log_abs_det_change(
        growth_of(numbers_.lr, numbers_, optimizer_.options()), numbers_.lr / numbers_.samples);
  }

 private:
  void apply(const UpdateTile<T>& tile, double lr) {
    const auto start = Clock::now();
    optimizer_.apply(tile, numbers_.step, numbers_.samples, lr);
    this->optimizer_seconds_ += std::chrono::duration<double>(Clock::now() - start).count();
  }

  ParameterStore<T>* store_;
  Exchange<T>* exchange_;
  Optimizer<T> optimizer_;
  StepNumbers numbers_;
  SmallSums<T> small_;
  std::vector<PerSampleTerm<T>> small_terms_;
  std::vector<T> before_;
  InnerProducts<T> inner_products_;
  Vector<double> growth_;
  std::optional<RelativeScaleMeans<T>> scales_;
};

template <class T>
class ClippedUpdate final : public Update<T> {
 public:
  ClippedUpdate(Flow<T>& flow, Exchange<T>& exchange, const Products& products,
                const OptimizerOptions& options, double clip_norm, std::int64_t exact_terms,
                bool tracks)
      : store_(&flow.parameters()),
        exchange_(&exchange),
        optimizer_(options),
        small_(flow, exact_terms),
        gradient_(flow.parameters(), products),
        clip_norm_(clip_norm),
        inner_products_(tracks) {}

  void begin(const StepNumbers& numbers) override {
    numbers_ = numbers;
    small_.clear();
    gradient_.clear();
    inner_products_.begin();
  }
  std::span<T> sum(ParameterId id) override { return small_.sum(id); }
  std::optional<ExactSums> exact(ParameterId id, std::size_t size) override {
    return small_.exact(id, size);
  }
  void per_sample(ParameterId id, const PerSampleTerm<T>& term) override {
    gradient_.per_sample(id, term);
  }
  void relative(const ConstMatrixMap<T>& delta, const ConstMatrixMap<T>& outputs,
                const T* /*row_factor*/) override {
    inner_products_.announce(delta, outputs);
  }
  void outer_product(ParameterId id, const ConstMatrixMap<T>& left, const ConstMatrixMap<T>& right,
                     const PerSampleTerm<T>& term) override {
    const std::span<T> whole = gradient_.sum(id);
    const auto keep_tile = [&](Index col_begin, const ConstMatrixMap<T>& tile) {
      std::copy_n(tile.data(), tile.size(), whole.data() + col_begin * tile.rows());
    };
    exchange_->outer_product(left, right, std::ref(keep_tile));
    gradient_.per_sample(id, term);
    inner_products_.take(*exchange_);
  }

  void finish() override {
    small_.exchange(*exchange_);
    update_running(*store_, small_, numbers_, optimizer_.options().reconstruction_tolerance);
    for (ParameterId id = 0; id < store_->count(); ++id) {
      if (!is_small(store_->info(id))) continue;
      std::ranges::copy(sum(id), gradient_.sum(id).begin());
    }
    gradient_.add_per_sample_terms(numbers_.samples);
    const auto start = Clock::now();
    const double norm = std::sqrt(square_of_norm()) / numbers_.samples;
    // Dividing by more samples scales the mean gradient down to the limit.
    const double samples = numbers_.samples * std::max(1.0, norm / clip_norm_);
    for (ParameterId id = 0; id < store_->count(); ++id) {
      if (store_->info(id).group == ParameterGroup::running) continue;
      optimizer_.apply(
          tile_of(*store_, id, 0, std::span<const T>(gradient_.sum(id)), PerSampleTerm<T>{}),
          numbers_.step, samples, lr_of(store_->info(id), numbers_));
    }
    this->optimizer_seconds_ += std::chrono::duration<double>(Clock::now() - start).count();
    // the gradient's sum, N W in it, over `samples`
    this->log_abs_det_change_ = inner_products_.log_abs_det_change(
        growth_of(numbers_.lr * numbers_.samples / samples, numbers_, optimizer_.options()),
        numbers_.lr / samples);
  }

 private:
  double square_of_norm() {
    double of_weights = 0;
    double of_others = 0;
    for (ParameterId id = 0; id < store_->count(); ++id) {
      double square = 0;
      for (const T g : gradient_.sum(id)) square += static_cast<double>(g) * static_cast<double>(g);
      (is_square(store_->info(id).group) ? of_weights : of_others) += square;
    }
    return exchange_->sum_over_columns(of_weights) + of_others;
  }

  ParameterStore<T>* store_;
  Exchange<T>* exchange_;
  Optimizer<T> optimizer_;
  StepNumbers numbers_;
  SmallSums<T> small_;
  GradientBuffer<T> gradient_;
  double clip_norm_;
  InnerProducts<T> inner_products_;
};

}  // namespace

OptimizerOptions optimizer_options_of(const TrainOptions& options) {
  if (options.optimizer == "natural" && options.gradient != "relative") {
    mpi::throw_on_all_ranks(UsageError(
        fmt::format("--optimizer: natural scales the relative gradient; --gradient {} has none",
                    options.gradient)));
  }
  if (options.optimizer == "natural" && options.clip_norm > 0) {
    mpi::throw_on_all_ranks(UsageError(
        "--clip-norm: natural steps are already scaled; use --warmup or a smaller --lr"));
  }
  return {parse_optimizer_kind(options.optimizer),
          options.momentum,
          options.beta1,
          options.beta2,
          options.epsilon,
          options.weight_decay,
          options.geco_tolerance};
}

template <class T>
std::string why_log_abs_det_is_not_tracked(OptimizerKind optimizer, GradientKind gradient,
                                           const Exchange<T>& exchange) {
  if (optimizer != OptimizerKind::sgd && optimizer != OptimizerKind::natural) {
    return fmt::format("the step of {} is not of low rank, those of sgd and natural are",
                       name_of(optimizer));
  }
  if (gradient != GradientKind::relative) {
    return fmt::format("the step of the {} gradient is no multiple of W", name_of(gradient));
  }
  if (!exchange.has_inner_product()) {
    return fmt::format("{} exchange brings no factors of all ranks together", exchange.name());
  }
  return "";
}

template <class T>
std::unique_ptr<Update<T>> make_update(Flow<T>& flow, Exchange<T>& exchange,
                                       const Products& products, const OptimizerOptions& options,
                                       double clip_norm, std::int64_t exact_terms, bool tracks) {
  const Optimizer<T> optimizer(options);
  flow.parameters().allocate_moments(optimizer.moment_count(), optimizer.weights_have_moments());
  if (clip_norm > 0) {
    return std::make_unique<ClippedUpdate<T>>(flow, exchange, products, options, clip_norm,
                                              exact_terms, tracks);
  }
  return std::make_unique<FusedUpdate<T>>(flow, exchange, options, exact_terms, tracks);
}

#define RELGRAD_INSTANTIATE(T)                                                                   \
  template std::string why_log_abs_det_is_not_tracked(OptimizerKind, GradientKind,               \
                                                      const Exchange<T>&);                       \
  template std::unique_ptr<Update<T>> make_update(Flow<T>&, Exchange<T>&, const Products&,       \
                                                  const OptimizerOptions&, double, std::int64_t, \
                                                  bool);
RELGRAD_INSTANTIATE(float)
RELGRAD_INSTANTIATE(double)
#undef RELGRAD_INSTANTIATE

}  // namespace relgrad
